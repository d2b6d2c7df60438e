"""ROUGE-L (Lin 2004) with coco-caption's choices: beta 1.2, best precision and best recall over the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captioner.metrics.ngrams import Tokens
from captioner.metrics.text import tokenize

BETA = 1.2


@dataclass(frozen=True)
class RougeScores:
    """ROUGE-L: the mean ``corpus`` and ``per_clip`` (clips,)."""

    corpus: float
    per_clip: NDArray[np.float64]


def rouge_l(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> RougeScores:
    """ROUGE-L of each caption against its clip's references, and the mean of them all."""
    per_clip = np.array(
        [sentence(tokenize(caption), [tokenize(r) for r in references[clip]]) for clip, caption in hypotheses.items()]
    )
    return RougeScores(float(per_clip.mean()), per_clip)


def sentence(hypothesis: Tokens, references: Sequence[Tokens]) -> float:
    """ROUGE-L of one caption. As in coco-caption, a caption without words counts as one empty word."""
    hypothesis = hypothesis or [""]
    places: dict[str, int] = {}
    for place, token in enumerate(hypothesis):
        places[token] = places.get(token, 0) | 1 << place
    precision = recall = 0.0
    for reference in references:
        reference = reference or [""]
        common = _common(places, len(hypothesis), reference)
        precision = max(precision, common / len(hypothesis))
        recall = max(recall, common / len(reference))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common(places: Mapping[str, int], length: int, other: Tokens) -> int:
    """The length of the longest common subsequence, 64 cells at a time in the bits of an integer (Hyyrö 2004).

    ``places``: for each token of one text, a bit for every place where it stands; ``length``: that text's tokens.
    A zero bit in ``row`` is a step up in the usual table's current row.
    """
    row = full = (1 << length) - 1
    for token in other:
        match = row & places.get(token, 0)
        row = (row + match) | (row - match)
    return length - (row & full).bit_count()
