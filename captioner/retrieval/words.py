"""The words that a retriever knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

PAD, UNKNOWN = 0, 1
"""Numbers that are no words."""
_FIRST = 2


class Vocabulary:
    """Words by number, from 2 on."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._numbers = {word: number for number, word in enumerate(self.words, start=_FIRST)}

    @classmethod
    def learn(cls, clips: Iterable[Iterable[Sequence[str]]], *, least: int) -> Vocabulary:
        """The words that at least ``least`` captions have, in the order of the alphabet."""
        counts = Counter(word for captions in clips for caption in captions for word in set(caption))
        return cls(sorted(word for word, count in counts.items() if count >= least))

    def __len__(self) -> int:
        return len(self.words)

    @property
    def rows(self) -> int:
        """Of a table with a row for each word, and for padding and unknown ones."""
        return len(self.words) + _FIRST

    def numbers(self, words: Sequence[str]) -> list[int]:
        """Each word's number, :data:`UNKNOWN` for one that is not known; of no words one unknown."""
        return [self._numbers.get(word, UNKNOWN) for word in words] or [UNKNOWN]

    def unknown(self, words: Iterable[str]) -> tuple[str, ...]:
        """Those that are not known, each once."""
        return tuple(dict.fromkeys(word for word in words if word not in self._numbers))
