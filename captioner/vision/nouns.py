"""The table of nouns that people would use for ImageNet's 1,000 classes (``nouns.tsv``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

CLASSES = 1000
_ANIMALS = 398
"""ImageNet's first classes, which are animals."""


@dataclass(frozen=True)
class Noun:
    """A noun, its broader noun, and its ImageNet classes."""

    name: str
    broader: str
    classes: tuple[int, ...]


@cache
def nouns() -> tuple[Noun, ...]:
    """The table, in its own order."""
    found = []
    for line in (Path(__file__).parent / "nouns.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, broader, ranges = line.split("\t")
        classes: list[int] = []
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            classes += range(int(first), int(last or first) + 1)
        found.append(Noun(name, broader, tuple(classes)))
    return tuple(found)


@cache
def animals() -> list[int]:
    """The places of those nouns that are animals."""
    return [place for place, noun in enumerate(nouns()) if max(noun.classes) < _ANIMALS]
