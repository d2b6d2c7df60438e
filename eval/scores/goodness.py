"""Decides whether a caption counts as good, by the content words of its references.

Most content words of a caption (stemmed, without "a", "is", "on" and the like) must be words of its references.
Decision 0062 says why this and not a threshold on CIDEr.
"""

from __future__ import annotations

from collections.abc import Iterable

from captioner.metrics.content import content_words

GOOD = "at least two in three of the caption's content words, stemmed, were used by people who described the clip"

_SHARE = 2 / 3


def is_good(caption: str, references: Iterable[str]) -> bool:
    """Whether a caption is good, as :data:`GOOD` defines it. A caption without content words is not."""
    return agrees(content_words(caption), map(content_words, references))


def agrees(words: set[str], others: Iterable[set[str]]) -> bool:
    """:func:`is_good` of content words: those of the caption and those of each reference."""
    return bool(words) and len(words & set[str]().union(*others)) >= _SHARE * len(words) - 1e-9
