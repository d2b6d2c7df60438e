"""What token ids spell: sentences and their words. It knows no tokenizer, and no torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

PAD, BOS, EOS, UNK = range(4)
"""The special ids, the same in every vocabulary; the pieces follow."""


class Pieces:
    """Ids to text, from the bytes that each id spells; ``EOS`` ends a sentence, the other specials spell nothing."""

    def __init__(self, spelled: Sequence[bytes]) -> None:
        self.spelled = list(spelled)

    def __len__(self) -> int:
        """V: how many ids there are."""
        return len(self.spelled)

    def begins_word(self) -> list[bool]:
        """Whether each id begins a word when it stands after another: its spelling begins with a space."""
        return [spelled.startswith(b" ") for spelled in self.spelled]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids`` up to the first eos; special ones say nothing, nor do bytes that make no character."""
        said = list(itertools.takewhile(lambda token: token != EOS, ids))
        assert min(said, default=0) >= 0, "a negative token"
        text = b"".join([self.spelled[token] for token in said]).decode("utf-8", errors="ignore")
        return " ".join(text.split())

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """Each word of ``decode(ids)`` as ``(word, first, last + 1)``: the places in ``ids`` that it was made from."""
        words: list[tuple[str, int, int]] = []
        raw, first, end = b"", -1, -1  # the word so far; first is -1 until it has begun
        for place, token in enumerate(ids):
            assert 0 <= token < len(self), f"token {token} of a vocabulary of {len(self)}"
            if token == EOS:
                break
            before, *after = self.spelled[token].split(b" ")
            if before:
                raw, first, end = raw + before, place if first < 0 else first, place + 1
            for part in after:  # a space: the word so far is finished, and the next begins unless the space ends it
                words += _word(raw, first, end)
                raw, first, end = part, place if part or not before else -1, place + 1
        return words + _word(raw, first, end)


def _word(raw: bytes, first: int, end: int) -> list[tuple[str, int, int]]:
    """The word that ``raw`` spells: none, if its bytes make no character; more, if they make some other space."""
    return [(word, first, end) for word in raw.decode("utf-8", errors="ignore").split()]
