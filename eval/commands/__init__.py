"""The commands of ``python -m eval``: parse, call, print."""
