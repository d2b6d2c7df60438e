"""How far the words of a query are in a row: what its captions say and what was detected, and why it was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner.caption.result import DetectedNoun
from captioner.index.stems import Stems
from captioner.metrics.content import carries
from captioner.metrics.text import tokenize
from captioner.vision.nouns import nouns

OTHERS_SHARE = 0.5
"""What a word of another sentence of the n-best list counts, of one in the caption."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A word of the query that carries what it says."""

    word: str
    stem: str
    narrower: tuple[str, ...] = ()
    """The nouns that it takes in: a cockatoo is a bird."""
    stems: frozenset[str] = frozenset()
    """Its own and theirs."""
    weight: float = 1.0
    """The rarer in the index, the more (its inverse document frequency)."""
    rows: int = 0
    """How many rows of the index have it, counted up to a limit."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a row was found: a word of the query, and where it is."""

    word: str
    probability: float | None = None
    """Of the word that was detected; None where the caption or another sentence says it."""
    seconds: float | None = None
    """When it was detected best."""
    source: str = "seen"
    """``seen``, ``caption`` or ``others``."""


def terms_of(text: str, stems: Stems) -> list[Term]:
    """The words of a query that carry what it says, each stem once, in their order."""
    words = [word for word in tokenize(text) if carries(word)]
    found: dict[str, Term] = {}
    for word, stem in zip(words, stems.of(words), strict=True):
        if stem and stem not in found:
            narrower = _narrower(stem, stems)
            found[stem] = Term(word=word, stem=stem, narrower=narrower, stems=frozenset((stem, *stems.of(narrower))))
    return list(found.values())


def _narrower(stem: str, stems: Stems) -> tuple[str, ...]:
    table = nouns()
    broader = stems.of([noun.broader for noun in table])
    return tuple(noun.name for noun, above in zip(table, broader, strict=True) if above == stem)


class Row:
    """The stems of a row's words, to be asked for terms."""

    def __init__(self, caption: str, others: str, seen: Sequence[DetectedNoun], stems: Stems) -> None:
        self.said, self.told = (set(stems.of(tokenize(text))) for text in (caption, others.replace("\n", " ")))
        self.seen = dict(zip(stems.of([sight.noun for sight in seen]), seen, strict=True))

    def has(self, term: Term) -> tuple[float, Reason | None]:
        """How far the row has a term, 0 to 1, and where.

        1 where the caption says it, :data:`OTHERS_SHARE` where only another sentence does, and at least the
        probability with which it, or a noun that it takes in, was detected.
        """
        sights = [sight for stem, sight in self.seen.items() if stem in term.stems]
        best = max(sights, key=lambda sight: sight.probability, default=None)
        spoken = "caption" if self.said & term.stems else "others" if self.told & term.stems else ""
        share = {"caption": 1.0, "others": OTHERS_SHARE, "": 0.0}[spoken]
        if best is not None:
            reason = Reason(word=best.noun, probability=best.probability, seconds=best.peak_seconds)
            return max(share, best.probability), reason
        return share, Reason(word=term.word, source=spoken) if spoken else None


def evidence(terms: Sequence[Term], row: Row) -> tuple[float, tuple[Reason, ...]]:
    """How far a row has all terms, the mean by their weights, and where."""
    found = [row.has(term) for term in terms]
    weights = sum(term.weight for term in terms)
    total = sum(term.weight * share for term, (share, _) in zip(terms, found, strict=True))
    return (total / weights if weights else 0.0), tuple(reason for _, reason in found if reason)


def weight_of(rows: int, having: int) -> float:
    """A term's inverse document frequency (Robertson & Sparck Jones 1976), never below 0."""
    return float(np.log1p((rows - having + 0.5) / (having + 0.5)))
