"""Whether captions read like people's: word sequences that nobody wrote are rarely English ("is riding a couch")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from captioner.metrics.text import tokenize

_SIZE = 3


class Fluency:
    """Counts a caption's 3-grams of words, its start and end included, that none of the known captions has."""

    def __init__(self, captions: Iterable[str]) -> None:
        self._known = {ngram for caption in captions for ngram in _ngrams(caption)}

    def __call__(self, captions: Sequence[str]) -> np.ndarray:
        return np.array([sum(ngram not in self._known for ngram in _ngrams(caption)) for caption in captions])


def _ngrams(caption: str) -> Iterator[tuple[str, ...]]:
    words = ["", *tokenize(caption), ""]
    return (tuple(words[i : i + _SIZE]) for i in range(len(words) - _SIZE + 1))
