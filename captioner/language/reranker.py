"""Which of the sentences that the search found to say, by the words that were seen in the clip.

The search ranks sentences by how likely the decoder finds them. Each word of a sentence that the detector knows adds
``word_weight`` times how much likelier it is in this clip than in any (Fang et al. 2015 rank sentences anew likewise).
A sentence is as right as its least likely word, whose log-probability counts ``least_weight`` times. Each sequence of
words that people did not write costs ``odd_price``, as a right word may stand in an odd sentence. It knows no model,
and no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from captioner.language.config import SearchConfig
from captioner.language.trigrams import Phrases


class _Scored(Protocol):
    @property
    def score(self) -> float: ...


_LEAST = 1e-6
_NONE = 0.05
"""Stands for the probability of the least likely word where a sentence has none that the detector knows."""
S = TypeVar("S", bound=_Scored)


class Choice:
    """``forms`` are the detector's words, each as all its forms with spaces between them; ``usual`` (W,) is the
    logarithm of their probability in any clip; ``phrases`` is the table of what people wrote, if there is one.
    """

    def __init__(self, forms: Sequence[str], usual: np.ndarray, phrases: np.ndarray | None = None) -> None:
        self._column = {form: column for column, row in enumerate(forms) for form in row.split()}
        self.words = self._column.keys()
        """All forms of the detector's words: those that many training captions have."""
        self._usual = usual
        self._phrases = None if phrases is None else Phrases(phrases)

    def order(self, found: Sequence[S], texts: Sequence[str], *, seen: np.ndarray, config: SearchConfig) -> list[S]:
        """The sentences ``found``, best first. ``texts`` are what they say; ``seen`` (W,) are the probabilities of the
        words in the clip.
        """
        likelier = np.log(np.maximum(seen, _LEAST)) - self._usual

        def worth(place: int) -> float:
            said = self._columns(texts[place])
            known = float(likelier[said].sum())
            least = float(np.log(max(_LEAST, seen[said].min() if said else _NONE)))
            odd = self._phrases.odd(texts[place]) if self._phrases and config.odd_price else 0
            worth = found[place].score + config.word_weight * known + config.least_weight * least
            return worth - config.odd_price * odd

        return [found[place] for place in sorted(range(len(found)), key=worth, reverse=True)]

    def support(self, text: str, *, seen: np.ndarray) -> float:
        """The mean probability of the words of ``text`` that the detector knows; 0 where it knows none."""
        known = self._columns(text)
        return float(seen[known].mean()) if known else 0.0

    def _columns(self, text: str) -> list[int]:
        """Of the words of a sentence, each once."""
        return sorted({self._column[word] for word in text.split() if word in self._column})
