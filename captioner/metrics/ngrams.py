"""Counting n-grams of many captions at once: words become numbers, n-grams become numbers, numpy does the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Tokens = Sequence[str]

ORDERS = 4
"""1-grams to 4-grams, as in BLEU-4 and CIDEr."""

_SHIFT = 31
"""An n-gram's key is ``(id of its first n - 1 words) << 31 | id of its last word``."""


@dataclass(frozen=True)
class Counts:
    """How often each n-gram of one order occurs in each caption: parallel arrays, sorted by caption, then n-gram."""

    caption: Integers
    ngram: Integers
    count: Integers


class NgramIndex:
    """Numbers for the n-grams of some captions: those of order n are 0 .. sizes[n - 1] - 1."""

    def __init__(self, captions: Iterable[Tokens]) -> None:
        captions = list(captions)
        self._words: dict[str, int] = {}
        for caption in captions:
            for token in caption:
                self._words.setdefault(token, len(self._words))
        self._keys: list[Integers] = []  # sorted keys of the 2-, 3- and 4-grams; the position is the id
        tokens, left = self._encode(captions)
        ids = tokens
        for order in range(2, ORDERS + 1):
            ids, words = ids[:-1], tokens[order - 1 :]
            keys = (ids << _SHIFT) | words
            self._keys.append(np.unique(keys[left[: len(keys)] >= order]))
            ids = np.searchsorted(self._keys[-1], keys)  # wrong across captions; those are masked here and above
        self.sizes = (len(self._words), *(len(keys) for keys in self._keys))

    def count(self, captions: Sequence[Tokens]) -> list[Counts]:
        """The counts of each order. An unknown n-gram gets a number from ``sizes`` up, good within this call."""
        tokens, left = self._encode(captions)
        caption = np.repeat(np.arange(len(captions)), [len(c) for c in captions])
        ids, counts = tokens, []
        for order in range(1, ORDERS + 1):
            if order > 1:
                ids = ids[:-1] if len(ids) else ids
                ids = self._lookup(order, (ids << _SHIFT) | tokens[order - 1 :])
            here = left[: len(ids)] >= order
            counts.append(_tally(caption[: len(ids)][here], ids[here]))
        return counts

    def _encode(self, captions: Sequence[Tokens]) -> tuple[Integers, Integers]:
        """The word ids of all captions in a row, and how many words of its caption are left from each on."""
        words, new = self._words, dict[str, int]()
        tokens = [
            words[t] if t in words else new.setdefault(t, len(words) + len(new))
            for caption in captions
            for t in caption
        ]
        left = [n for caption in captions for n in range(len(caption), 0, -1)]
        return np.array(tokens, dtype=np.int64), np.array(left, dtype=np.int64)

    def _lookup(self, order: int, keys: Integers) -> Integers:
        known = self._keys[order - 2]
        ids = np.searchsorted(known, keys)
        missing = known[np.minimum(ids, len(known) - 1)] != keys if len(known) else np.ones(len(keys), dtype=bool)
        _, fresh = np.unique(keys[missing], return_inverse=True)
        ids[missing] = len(known) + fresh
        return ids


def _tally(caption: Integers, ngram: Integers) -> Counts:
    width = int(ngram.max(initial=0)) + 1
    pairs, count = np.unique(caption * width + ngram, return_counts=True)
    return Counts(pairs // width, pairs % width, count)
