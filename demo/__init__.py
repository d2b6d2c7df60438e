"""The web demo, started by ``app.py``. It runs from the checkout and is not in the wheel."""
