"""Which sequences of three words people have written: a Bloom filter (Bloom 1970), some five bits for each.

A sentence with a sequence that nobody wrote is rarely English ("is putting a hair"). The filter knows every sequence
that it was told; one in ten of the others it takes for known. It knows no model, and no torch.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

_SIZE, _HASHES = 3, 3


class Phrases:
    """``table`` (N,) uint8 is what it knows, empty where all is 0; it is changed in place."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table

    def add(self, captions: Iterable[str], *, least: int = 1) -> None:
        """Learn the sequences that are written ``least`` times or more in ``captions``, which are normalised."""
        counts = Counter(phrase for caption in captions for phrase in _phrases(caption))
        for phrase, count in counts.items():
            if count >= least:
                for place in self._places(phrase):
                    self._table[place // 8] |= 1 << place % 8

    def odd(self, text: str) -> int:
        """How many sequences of ``text``, its start and end included, are new."""
        return sum(
            any(not self._table[place // 8] >> place % 8 & 1 for place in self._places(phrase))
            for phrase in _phrases(text)
        )

    def _places(self, phrase: str) -> list[int]:
        digest = hashlib.blake2b(phrase.encode(), digest_size=4 * _HASHES).digest()
        return [int.from_bytes(digest[i : i + 4], "little") % (8 * len(self._table)) for i in range(0, len(digest), 4)]


def _phrases(text: str) -> Iterator[str]:
    words = ["", *text.split(), ""]
    return (" ".join(words[i : i + _SIZE]) for i in range(len(words) - _SIZE + 1))
