"""The trigrams of the training captions: a Bloom filter (Bloom 1970), some five bits for each.

A sentence with a trigram that no training caption has is rarely English ("is putting a hair"). The filter finds every
trigram that was added; it takes one in ten of the others for known. It knows no model, and no torch.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

_SIZE, _HASHES = 3, 3


class Trigrams:
    """``table`` (N,) uint8 holds the filter's bits; it is changed in place."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table

    def add(self, captions: Iterable[str], *, least: int = 1) -> None:
        """Add the trigrams that ``captions`` (normalised) hold ``least`` times or more."""
        counts = Counter(trigram for caption in captions for trigram in _trigrams(caption))
        for trigram, count in counts.items():
            if count >= least:
                for place in self._places(trigram):
                    self._table[place // 8] |= 1 << place % 8

    def unknown(self, text: str) -> int:
        """How many trigrams of ``text``, its start and end included, no caption has."""
        return sum(
            any(not self._table[place // 8] >> place % 8 & 1 for place in self._places(trigram))
            for trigram in _trigrams(text)
        )

    def _places(self, trigram: str) -> list[int]:
        digest = hashlib.blake2b(trigram.encode(), digest_size=4 * _HASHES).digest()
        return [int.from_bytes(digest[i : i + 4], "little") % (8 * len(self._table)) for i in range(0, len(digest), 4)]


def _trigrams(text: str) -> Iterator[str]:
    words = ["", *text.split(), ""]
    return (" ".join(words[i : i + _SIZE]) for i in range(len(words) - _SIZE + 1))
