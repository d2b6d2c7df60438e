"""What people read: tables in the terminal, and the report as one page."""
