"""Reranks the n-best list by the words that the detector finds in the clip, and by familiar trigrams.

The search ranks sentences by the decoder's probability. Each word that the detector knows adds ``word_weight`` times
the logarithm of how much likelier it is in this clip than in any (Fang et al. 2015 rerank likewise). The least likely
word counts ``least_weight`` times its log-probability. Each trigram that no training caption has costs ``odd_price``.
It knows no model, and no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from captioner.language.config import SearchConfig
from captioner.language.trigrams import Trigrams


class Scored(Protocol):
    """A hypothesis with the score that the search gave it."""

    @property
    def score(self) -> float: ...


_LEAST = 1e-6
_NONE = 0.05
"""Stands for the probability of the least likely word where a sentence has none that the detector knows."""
S = TypeVar("S", bound=Scored)


class Reranker:
    """``forms`` are the detector's words, each as all its forms with spaces between them.

    ``usual`` (W,) is the logarithm of each word's probability in any clip. ``trigrams`` is the table of
    :class:`Trigrams`, if there is one.
    """

    def __init__(self, forms: Sequence[str], usual: np.ndarray, trigrams: np.ndarray | None = None) -> None:
        self._column = {form: column for column, row in enumerate(forms) for form in row.split()}
        self.words = self._column.keys()
        """All forms of the detector's words: those that many training captions have."""
        self._usual = usual
        self._trigrams = None if trigrams is None else Trigrams(trigrams)

    def rerank(
        self, hypotheses: Sequence[S], texts: Sequence[str], *, word_probs: np.ndarray, config: SearchConfig
    ) -> list[S]:
        """The hypotheses, best first. ``texts`` are what they say; ``word_probs`` (W,) are of the clip's words."""
        likelier = np.log(np.maximum(word_probs, _LEAST)) - self._usual

        def worth(place: int) -> float:
            said = self._columns(texts[place])
            known = float(likelier[said].sum())
            least = float(np.log(max(_LEAST, word_probs[said].min() if said else _NONE)))
            unknown = self._trigrams.unknown(texts[place]) if self._trigrams and config.odd_price else 0
            worth = hypotheses[place].score + config.word_weight * known + config.least_weight * least
            return worth - config.odd_price * unknown

        return [hypotheses[place] for place in sorted(range(len(hypotheses)), key=worth, reverse=True)]

    def support(self, text: str, *, word_probs: np.ndarray) -> float:
        """The mean probability of the words of ``text`` that the detector knows; 0 where it knows none."""
        known = self._columns(text)
        return float(word_probs[known].mean()) if known else 0.0

    def _columns(self, text: str) -> list[int]:
        """Of the words of a sentence, each once."""
        return sorted({self._column[word] for word in text.split() if word in self._column})
