"""A counter on the terminal while something takes its time; silent when nobody is watching."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def progress(items: Sequence[T], *, what: str) -> Iterator[T]:
    """``items`` one by one, with a count on stderr ten times a second; nothing is printed when it is piped."""
    watched = sys.stderr.isatty()
    shown_at = 0.0
    for count, item in enumerate(items):
        if watched and (now := time.monotonic()) - shown_at > 0.1:
            shown_at = now
            print(f"\r{count:,} of {len(items):,} {what}", end="", file=sys.stderr, flush=True)
        yield item
    if watched and items:
        print(f"\r{len(items):,} of {len(items):,} {what}", file=sys.stderr)
