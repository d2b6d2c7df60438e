"""Reranks the n-best list by the words that the detector finds in the clip, and by familiar trigrams.

The search ranks sentences by the decoder's probability. Each word that the detector knows adds ``word_weight`` times
the logarithm of how much likelier it is in this clip than in any (Fang et al. 2015 rerank likewise). The least likely
word counts ``least_weight`` times its log-probability. Each trigram that no training caption has costs ``odd_price``,
and a sentence without "is" or "are" costs half of it.
How well a sentence fits the clip, by vectors of both (Faghri et al. 2018), counts ``match_weight`` times. It knows no
model, and no torch.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from captioner.language.config import SearchConfig
from captioner.language.grounding import NOUN_PRIOR
from captioner.language.hypothesis import Hypothesis
from captioner.language.lexicon import BEING

_LEAST = 1e-6
_SURE = 0.3
"""From this probability on the classifier has a say in the words that the detector knows."""
_NONE = 0.05
"""Stands for the probability of the least likely word where a sentence has none that the detector knows."""
_FRAGMENT = 0.5
"""A sentence without "is" or "are" is as odd as half an unknown trigram: "a man in the snow"."""
_HASHES = 3
"""Bits of the filter that stand for a trigram."""


def reranks(config: SearchConfig) -> bool:
    """Whether the settings rerank the n-best list, where a checkpoint can."""
    weights = (config.word_weight, config.least_weight, config.match_weight, config.odd_price)
    return config.temperature == 0 and max(weights) > 0


class Reranker:
    """``forms`` are the detector's words, each as all its forms with spaces between them.

    ``usual`` (W,) is the logarithm of each word's probability in any clip. ``trigrams`` is the table of
    :class:`Trigrams`, if there is one. ``nouns`` are the names of the classifier's nouns, in a grounded checkpoint, and
    ``actions`` the words of each of the detector's actions.
    """

    def __init__(
        self,
        forms: Sequence[str],
        usual: np.ndarray,
        trigrams: np.ndarray | None = None,
        *,
        nouns: Sequence[str] = (),
        actions: Sequence[str] = (),
    ) -> None:
        self._nouns = tuple(nouns)
        self._column = {form: column for column, row in enumerate(forms) for form in row.split()}
        self.words = self._column.keys()
        """All forms of the detector's words: those that many training captions have."""
        self._actions = [[self._column[word] for word in row.split() if word in self._column] for row in actions]
        self._usual = usual
        self._trigrams = None if trigrams is None else Trigrams(trigrams)

    def rerank(
        self,
        hypotheses: Sequence[Hypothesis],
        texts: Sequence[str],
        *,
        word_probs: np.ndarray,
        noun_probs: np.ndarray | None = None,
        action_probs: np.ndarray | None = None,
        matches: np.ndarray | None = None,
        config: SearchConfig,
    ) -> list[Hypothesis]:
        """The hypotheses, best first. ``texts`` are what they say; ``word_probs`` (W,) are of the clip's words, and
        ``noun_probs`` (N,) of the classifier's nouns in a grounded checkpoint, and ``action_probs`` (A,) of actions.
        ``matches`` (H,) say how well each sentence fits the clip.
        """
        nouns = {} if noun_probs is None else self._likely_nouns(noun_probs)
        known = word_probs.copy()
        for noun, probability in nouns.items():  # detector or classifier, whichever is surer
            if noun in self._column and probability >= _SURE:
                known[self._column[noun]] = max(known[self._column[noun]], probability)
        if action_probs is not None:
            for action in action_probs.nonzero()[0]:
                known[self._actions[action]] = np.maximum(known[self._actions[action]], action_probs[action])
        likelier = np.log(np.maximum(known, _LEAST)) - self._usual

        def worth(place: int) -> float:
            text = texts[place]
            said = self._columns(text)
            unfamiliar = {noun: p for noun, p in nouns.items() if noun not in self._column and _says(text, noun)}
            least = min([*known[said], *unfamiliar.values()], default=_NONE)
            worth = hypotheses[place].score + config.word_weight * float(likelier[said].sum())
            worth += config.noun_weight * sum(math.log(p / NOUN_PRIOR) for p in unfamiliar.values())
            worth += config.least_weight * math.log(max(_LEAST, least))
            if matches is not None:
                worth += config.match_weight * float(matches[place])
            if self._trigrams and config.odd_price:
                fragment = not any(word in BEING for word in text.split())
                worth -= config.odd_price * (self._trigrams.unknown(text) + _FRAGMENT * fragment)
            return worth

        return [hypotheses[place] for place in sorted(range(len(hypotheses)), key=worth, reverse=True)]

    def _likely_nouns(self, noun_probs: np.ndarray) -> dict[str, float]:
        """The nouns that are likelier in this clip (N,) than in any."""
        return {self._nouns[i]: float(noun_probs[i]) for i in (noun_probs > NOUN_PRIOR).nonzero()[0]}

    def support(self, text: str, *, word_probs: np.ndarray) -> float:
        """The mean probability of the words of ``text`` that the detector knows; 0 where it knows none."""
        known = self._columns(text)
        return float(word_probs[known].mean()) if known else 0.0

    def _columns(self, text: str) -> list[int]:
        """Of the words of a sentence, each once."""
        return sorted({self._column[word] for word in text.split() if word in self._column})


def _says(text: str, noun: str) -> bool:
    return f" {noun} " in f" {text} " or f" {noun}s " in f" {text} "


class Trigrams:
    """The trigrams of the training captions in a Bloom filter (Bloom 1970), some five bits for each.

    ``table`` (N,) uint8 holds the filter's bits and is changed in place. The filter finds every trigram that was added,
    and takes one in ten of the others for known. A sentence with an unknown one is rarely English.
    """

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
    return (" ".join(words[i : i + 3]) for i in range(len(words) - 2))
