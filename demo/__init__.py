"""The web demo, one room a file; ``app.py`` is its door. It runs from the checkout and is not in the wheel."""
