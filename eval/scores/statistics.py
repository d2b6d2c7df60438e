"""Confidence intervals and tests by resampling the sufficient statistics of clips.

One row a clip, one column a count: ten of BLEU, then ROUGE-L and CIDEr-D, then METEOR's 23 where it was asked for.
Every metric is a function of a sum of rows, so that a thousand resamples are one matrix product. The document
frequencies of CIDEr stay those of all references in every resample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captioner.metrics import bleu, rouge
from captioner.metrics.cider import CiderScorer
from captioner.metrics.ngrams import Tokens
from eval.scores import meteor

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr")
"""All but CIDEr lie in 0..1, CIDEr in 0..10; tables print them times 100."""

BLEU_COLUMNS = 10
COLUMNS = BLEU_COLUMNS + 2

_CHUNK = 2**22
"""Cells of the matrix of resamples held at a time."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Interval:
    """A score and the central 95 % of its bootstrap resamples."""

    score: float
    low: float
    high: float

    @classmethod
    def of(cls, score: float, drawn: Floats) -> Interval:
        """By the score in each resample (Efron and Tibshirani 1993)."""
        low, high = np.percentile(drawn, [2.5, 97.5])
        return cls(float(score), float(low), float(high))


@dataclass(frozen=True)
class Difference:
    """How much one system scores above another on the same clips, and how likely chance explains it."""

    difference: float
    low: float
    high: float
    """The central 95 % of the differences in paired bootstrap resamples."""
    p_bootstrap: float
    """Two-sided, paired bootstrap (Koehn 2004; shifted to no difference as in Riezler and Maxwell 2005)."""
    p_randomization: float
    """Two-sided, paired approximate randomization (Noreen 1989)."""


def statistics(
    clips: Sequence[str], hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]], scorer: CiderScorer
) -> Floats:
    """Sufficient statistics (clips, COLUMNS) of tokenised captions; ``scorer`` holds the references of CIDEr."""
    rows = np.zeros((len(clips), COLUMNS))
    rows[:, :BLEU_COLUMNS] = bleu.statistics(hypotheses, references)
    rows[:, BLEU_COLUMNS] = [rouge.sentence(h, r) for h, r in zip(hypotheses, references, strict=True)]
    rows[:, BLEU_COLUMNS + 1] = scorer.score_tokens(clips, hypotheses)
    return rows


def metric_names(columns: int) -> tuple[str, ...]:
    """The metrics that rows of so many columns give."""
    return METRICS if columns == COLUMNS else (*METRICS, "METEOR")


def scores(sums: Floats, clips: int) -> Floats:
    """The metrics (..., 6 or 7) of sums of rows (..., columns) over that many clips."""
    parts = [bleu.score(sums[..., :BLEU_COLUMNS]), sums[..., BLEU_COLUMNS:COLUMNS] / clips]
    if sums.shape[-1] > COLUMNS:
        parts.append(meteor.score(sums[..., COLUMNS:])[..., None])
    return np.concatenate(parts, axis=-1)


def scores_by_name(rows: Floats) -> dict[str, float]:
    """The metrics of all clips together, from their rows (clips, columns)."""
    values = scores(rows.sum(axis=0), len(rows))
    return dict(zip(metric_names(rows.shape[1]), map(float, values), strict=True))


def bootstrap(rows: Floats, *, resamples: int = 1000, seed: int = 12345) -> Floats:
    """The metrics (resamples, 6 or 7) of sets of clips drawn with replacement, each as large as the original."""
    sums = np.concatenate([weights @ rows for weights in _draws(len(rows), resamples, seed)])
    return scores(sums, len(rows))


def intervals(rows: Floats, *, resamples: int = 1000, seed: int = 12345) -> dict[str, Interval]:
    """Each metric with its bootstrap interval."""
    values, drawn = scores_by_name(rows), bootstrap(rows, resamples=resamples, seed=seed).T
    return dict(zip(values, map(Interval.of, values.values(), drawn), strict=True))


def compare(
    rows: Floats, baseline: Floats, *, resamples: int = 1000, trials: int = 10000, seed: int = 12345
) -> dict[str, Difference]:
    """Each metric's difference ``rows - baseline`` over the same clips, tested both ways.

    Both systems are scored on the same resamples of clips; in randomization, each clip's two captions change sides
    with probability one half.
    """
    assert rows.shape == baseline.shape
    clips = len(rows)
    observed = scores(rows.sum(axis=0), clips) - scores(baseline.sum(axis=0), clips)
    drawn = bootstrap(rows, resamples=resamples, seed=seed) - bootstrap(baseline, resamples=resamples, seed=seed)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    # The spread of the resamples around their mean is what chance does where there is no difference.
    p_bootstrap = _p(drawn - drawn.mean(axis=0), observed)
    swapped = np.concatenate([coins @ (baseline - rows) for coins in _coins(clips, trials, seed)])
    chance = scores(rows.sum(axis=0) + swapped, clips) - scores(baseline.sum(axis=0) - swapped, clips)
    p_randomization = _p(chance, observed)
    return {
        name: Difference(*(float(column[i]) for column in (observed, low, high, p_bootstrap, p_randomization)))
        for i, name in enumerate(metric_names(rows.shape[1]))
    }


def auc(scores: Floats, positive: Flags) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half (Mann and Whitney)."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positives = int(positive.sum())
    negatives = len(positive) - positives
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _p(chance: Floats, observed: Floats) -> Floats:
    """The share of chance differences at least as large as the observed; itself counts as one of them."""
    as_large = np.abs(chance) >= np.abs(observed) - 1e-12  # sums in another order differ in the last digits
    return (as_large.sum(axis=0) + 1) / (len(chance) + 1)


def _draws(clips: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each clip is drawn in each resample, (some, clips) at a time."""
    generator = np.random.default_rng(seed)
    for some in _chunks(clips, resamples):
        drawn = generator.integers(0, clips, size=(some, clips)) + np.arange(some)[:, None] * clips
        yield np.bincount(drawn.ravel(), minlength=some * clips).reshape(some, clips).astype(np.float64)


def _coins(clips: int, trials: int, seed: int) -> Iterator[Floats]:
    """Zeros and ones, (some, clips) at a time."""
    generator = np.random.default_rng(seed)
    for some in _chunks(clips, trials):
        yield generator.integers(0, 2, size=(some, clips)).astype(np.float64)


def _chunks(clips: int, count: int) -> Iterator[int]:
    """``count`` in parts that are small enough to hold a row of all clips each."""
    step = max(1, _CHUNK // clips)
    yield from (min(step, count - start) for start in range(0, count, step))
