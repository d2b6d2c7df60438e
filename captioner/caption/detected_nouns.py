"""The nouns that the classifier sees in a clip, and the article before those that a caption says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import compress, zip_longest
from typing import TYPE_CHECKING

from captioner.caption.result import DetectedNoun
from captioner.vision.nouns import nouns

if TYPE_CHECKING:
    import numpy as np


LEAST = 0.05
"""Nouns less probable than this are not told."""


def read_frames(noun_probs: np.ndarray, times_seconds: Sequence[float]) -> tuple[np.ndarray, tuple[float, ...]]:
    """The rows of ``noun_probs`` (T, N) that were read, and their times: rows of zeros were not."""
    read = (noun_probs != 0).any(axis=1)
    return noun_probs[read], tuple(compress(times_seconds, read.tolist()))


def detected_nouns(
    noun_probs: np.ndarray, times_seconds: Sequence[float], *, said: list[str]
) -> tuple[DetectedNoun, ...]:
    """The likeliest nouns of a clip, from their probabilities (T, N) in its frames; ``said`` is its caption.

    There are none where the classifier looked at no frame.
    """
    if not len(noun_probs):
        return ()
    mean = noun_probs.mean(axis=0)
    found = [
        DetectedNoun(
            noun=nouns()[column].name,
            probability=float(mean[column]),
            peak_seconds=times_seconds[int(noun_probs[:, column].argmax())],
            used=f" {nouns()[column].name} " in f" {' '.join(said)} ",
        )
        for column in (-mean).argsort(kind="stable")[:5].tolist()
    ]
    return tuple(noun for noun in found if noun.probability >= LEAST)


def fit_articles(words: list[str]) -> list[str]:
    """A caption's words with the article that fits each noun of the table: "a elephant" becomes "an elephant"."""
    return [
        _article(after) if word in ("a", "an") and after in _first_words() else word
        for word, after in zip_longest(words, words[1:], fillvalue="")
    ]


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" and not noun.startswith("uni") else "a"


@cache
def _first_words() -> frozenset[str]:
    return frozenset(noun.name.split()[0] for noun in nouns())
