"""Text that is safe to show on a terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """``text`` on one line, with nothing in it that a terminal would obey: a file's name may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
