"""Which of the files that come into folders and stores are wanted, and who is told of what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from captioner.io.inputs import Item


def _make(path: str) -> Item:
    return Item(path=path)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A choice among files."""

    recursive: bool = False
    images: bool = False
    takes: Callable[[Item], bool] = lambda item: True
    make: Callable[[str], Item] = _make
    """An item of a path."""
    say: Callable[[str], None] = lambda message: None
    """Told what cannot be listed, and which folder is gone or back."""
