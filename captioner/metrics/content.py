"""The words that carry what a caption says: all but "a", "is", "on" and the like, stemmed."""

from __future__ import annotations

from functools import cache

from captioner.metrics.text import tokenize

_WORDS = """
    a an the is are was were be been being am and or of in on at to with for from by into onto over through up down off
    out his her its their it he she they him them this that these those there one 's as while who which has have had
"""
_FUNCTION_WORDS = frozenset(_WORDS.split())


def content_words(caption: str) -> set[str]:
    """The stems (Porter 1980) of the words that carry what a caption says."""
    return {_stem(token) for token in tokenize(caption) if carries(token)}


def carries(token: str) -> bool:
    """Whether a token carries what a caption says."""
    return token not in _FUNCTION_WORDS


@cache
def _stem(token: str) -> str:
    return str(_stemmer().stem(token))


@cache
def _stemmer():  # type: ignore[no-untyped-def]
    from nltk.stem import PorterStemmer  # half a second

    return PorterStemmer()
