"""Human agreement (leave one out): which a model is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captioner.errors import DataError, counted
from captioner.metrics.cider import CiderScorer
from captioner.metrics.content import content_words
from captioner.metrics.text import tokenize
from eval.inputs.references import References
from eval.scores.goodness import agrees
from eval.scores.statistics import METRICS, scores, statistics

DRAWS = 5
SEED = 12345


@dataclass(frozen=True)
class HumanLine:
    """Mean scores of people over some draws, and how much the draws differ."""

    clips: int
    """Clips with at least two references."""
    skipped: int
    """Clips with a single one, which cannot be drawn from."""
    draws: int
    seed: int
    scores: dict[str, float]
    """By metric, in coco-caption's units: the mean of the draws."""
    deviations: dict[str, float]
    """Standard deviation between draws; 0 for one draw."""
    good: float
    """Share of their captions that is good by the rule of :mod:`eval.scores.goodness`; the mean of the draws."""

    def describe(self) -> str:
        """How the line was drawn, in one sentence."""
        return (
            f"leave one out: one reference of each of {self.clips} clips, drawn at random, against the clip's others; "
            f"document frequencies from those others; mean of {counted(self.draws, 'draw')}"
        )


def leave_one_out(references: References, *, draws: int = DRAWS, seed: int = SEED) -> HumanLine:
    """Score a person against the others.

    In each draw, one reference of every clip, chosen uniformly, is the hypothesis, and the clip's remaining
    references are the references; CIDEr's document frequencies are those of the remaining references. Raises
    DataError where no clip has two references.
    """
    tokens = {clip: [tokenize(c) for c in group] for clip, group in references.captions.items() if len(group) > 1}
    if not tokens:
        raise DataError(f"{references.source} has no clip with two references or more; people cannot be compared")
    generator = np.random.default_rng(seed)
    words = [[content_words(caption) for caption in references.captions[clip]] for clip in tokens]
    clips, found, good = list(tokens), [], 0
    for _ in range(draws):
        chosen = [int(generator.integers(len(group))) for group in tokens.values()]
        hypotheses = [group[i] for group, i in zip(tokens.values(), chosen, strict=True)]
        others = [group[:i] + group[i + 1 :] for group, i in zip(tokens.values(), chosen, strict=True)]
        good += sum(agrees(group[i], group[:i] + group[i + 1 :]) for group, i in zip(words, chosen, strict=True))
        scorer = CiderScorer.from_tokens(dict(zip(clips, others, strict=True)))
        found.append(scores(statistics(clips, hypotheses, others, scorer).sum(axis=0), len(clips)))
    mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1 if draws > 1 else 0)
    return HumanLine(
        clips=len(clips),
        skipped=len(references.captions) - len(clips),
        draws=draws,
        seed=seed,
        scores=dict(zip(METRICS, map(float, mean), strict=True)),
        deviations=dict(zip(METRICS, map(float, deviation), strict=True)),
        good=good / (draws * len(clips)),
    )
