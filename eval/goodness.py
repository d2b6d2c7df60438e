"""Decides whether a caption counts as good, by the content words of its references.

The main words of a caption (all but "a", "is", "on" and the like, stemmed) must mostly be words that people used of
the same clip. docs/decisions/0062-what-a-good-caption-is.md says why this and not a threshold on CIDEr.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from captioner.metrics.text import tokenize

GOOD = "at least two in three of the caption's content words, stemmed, were used by people who described the clip"

_SHARE = 2 / 3

_FUNCTION_WORDS = """
    a an the is are was were be been being am and or of in on at to with for from by into onto over through up down off
    out his her its their it he she they him them this that these those there one 's as while who which has have had
"""


def content_words(caption: str) -> set[str]:
    """The stems (Porter 1980) of the words that carry what a caption says."""
    return {_stem(token) for token in tokenize(caption) if token not in _function_words()}


def is_good(caption: str, references: Iterable[str]) -> bool:
    """Whether people say the same of the clip, as :data:`GOOD` puts it. A caption without content words is not."""
    return agrees(content_words(caption), map(content_words, references))


def agrees(words: set[str], others: Iterable[set[str]]) -> bool:
    """:func:`is_good` of content words: those of the caption and those of each reference."""
    return bool(words) and len(words & set[str]().union(*others)) >= _SHARE * len(words) - 1e-9


@cache
def _function_words() -> frozenset[str]:
    return frozenset(_FUNCTION_WORDS.split())


@cache
def _stem(token: str) -> str:
    return str(_stemmer().stem(token))


@cache
def _stemmer():  # type: ignore[no-untyped-def]
    from nltk.stem import PorterStemmer  # half a second

    return PorterStemmer()
