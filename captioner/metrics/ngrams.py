"""Counting n-grams of many captions at once: words become numbers, n-grams become numbers, numpy does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Tokens = Sequence[str]

ORDERS = 4
"""1-grams to 4-grams, as in BLEU-4 and CIDEr."""

_SHIFT = 31
"""An n-gram's key is ``(number of its first n - 1 words) << 31 | number of its last word``."""


@dataclass(frozen=True)
class Counts:
    """How often each n-gram of one order occurs in each caption: parallel arrays, sorted by caption, then n-gram."""

    caption: Integers
    ngram: Integers
    count: Integers


@dataclass(frozen=True)
class NgramIndex:
    """Numbers for the n-grams of some captions: those of order n are 0 .. sizes[n - 1] - 1."""

    words: dict[str, int]
    keys: tuple[Integers, ...]
    """Of the 2-, 3- and 4-grams, sorted; an n-gram's number is its key's position."""

    @classmethod
    def of(cls, captions: Sequence[Tokens]) -> tuple[NgramIndex, list[Counts]]:
        """The index of these captions and, in passing, their counts of each order."""
        words: dict[str, int] = {}
        tokens, caption, left = _encode(captions, words, learn=True)
        numbers, all_keys = tokens, []
        counts = [_tally(caption, tokens)]
        for order in range(2, ORDERS + 1):
            starts = np.flatnonzero(left >= order)  # where an n-gram of this order starts
            keys, found = np.unique((numbers[starts] << _SHIFT) | tokens[starts + order - 1], return_inverse=True)
            numbers = np.zeros_like(numbers)
            numbers[starts] = found
            all_keys.append(keys)
            counts.append(_tally(caption[starts], found))
        return cls(words, tuple(all_keys)), counts

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many different n-grams there are of each order."""
        return len(self.words), *(len(keys) for keys in self.keys)

    def count(self, captions: Sequence[Tokens]) -> list[Counts]:
        """The counts of each order. An unknown n-gram gets a number from ``sizes`` up, good within this call."""
        tokens, caption, left = _encode(captions, self.words, learn=False)
        numbers, counts = tokens, [_tally(caption, tokens)]
        for order, known in enumerate(self.keys, start=2):
            starts = np.flatnonzero(left >= order)
            keys = (numbers[starts] << _SHIFT) | tokens[starts + order - 1]
            found = find(known, keys)
            missing = found < 0
            found[missing] = len(known) + np.unique(keys[missing], return_inverse=True)[1]
            numbers = np.zeros_like(numbers)
            numbers[starts] = found
            counts.append(_tally(caption[starts], found))
        return counts


def find(keys: Integers, wanted: Integers) -> Integers:
    """Where each of ``wanted`` stands in the sorted ``keys``; -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def first_of_each(sorted_keys: Integers) -> NDArray[np.bool_]:
    """True at the first of each run of equal keys."""
    first = np.ones(len(sorted_keys), dtype=bool)
    first[1:] = sorted_keys[1:] != sorted_keys[:-1]
    return first


def _encode(captions: Sequence[Tokens], words: dict[str, int], *, learn: bool) -> tuple[Integers, Integers, Integers]:
    """All captions in a row: each word's number, its caption, and the words left in that caption from it on.

    New words are numbered from ``len(words)`` up, and kept in ``words`` when ``learn``.
    """
    new = words if learn else {}
    size = 0 if learn else len(words)
    numbers = [
        words[token] if token in words else new.setdefault(token, size + len(new))
        for caption in captions
        for token in caption
    ]
    tokens = np.array(numbers, dtype=np.int64)
    lengths = np.array([len(caption) for caption in captions], dtype=np.int64)
    ends = np.repeat(np.cumsum(lengths), lengths)
    return tokens, np.repeat(np.arange(len(captions)), lengths), ends - np.arange(len(tokens))


def _tally(caption: Integers, ngram: Integers) -> Counts:
    width = int(ngram.max(initial=0)) + 1
    pairs, count = np.unique(caption * width + ngram, return_counts=True)
    return Counts(pairs // width, pairs % width, count)
