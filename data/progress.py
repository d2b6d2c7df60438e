"""Counts items on stderr while they are worked on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from captioner.io.status import Status

T = TypeVar("T")


def progress(items: Sequence[T], *, what: str) -> Iterator[T]:
    """``items`` one by one, with a count and the time left on stderr."""
    status = Status()
    for count, item in enumerate(items):
        status.show(f"{count:,} of {len(items):,} {what}", share=count / len(items))
        yield item
    status.clear()
