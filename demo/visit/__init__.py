"""What the server keeps of a visit: uploads, results, corrections, and the line of those who wait."""
