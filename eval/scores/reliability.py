"""Fits the calibration of confidences and measures its error.

``signals`` (n, k) are what tells a good caption, first the mean log-probability of its tokens; ``good`` (n,) is whether
it was good, ``confidence`` (n,) the chance given to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError
from eval.scores.evaluation import Evaluation
from eval.scores.goodness import is_good
from eval.scores.statistics import Flags, Floats, auc

BINS = 10
LEAST_CLIPS, LEAST_EACH = 50, 5
FEWEST = 30
"""Captions of an evaluation below which a reliability curve would say nothing."""
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

GOOD_SHARE = 0.68
"""Share of the captions not marked as unsure that is to be good. On nouns and data that nobody trained on it is then
60 % (benchmarks/unseen.py)."""

_RIDGE = 1e-3
"""Keeps the slope finite where the signal tells good from bad without an error."""
_FOLDS, _REPEATS = 10, 10


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: captions of similar confidence, equally many in each bin."""

    clips: int
    low: float
    high: float
    """Least and greatest confidence in it."""
    confidence: float
    """Mean confidence."""
    good: float
    """Share that was good."""


@dataclass(frozen=True)
class Kept:
    """How many captions have at least a threshold of confidence, and how many of those are good."""

    threshold: float
    kept: float
    """Share of all captions."""
    good: float | None
    """Share of the kept that is good; None when none is kept."""


@dataclass(frozen=True)
class Reliability:
    """How well the confidence of a set of captions is calibrated."""

    clips: int
    good: float
    """Share of the captions that was good."""
    mean_confidence: float
    ece: float
    """Expected calibration error: mean over ``bins`` of |confidence - share good|, each bin by its clips."""
    ece_low: float
    ece_high: float
    """Central 95 % of bootstrap resamples of the clips."""
    ece_by_chance: float
    """What the error would be on so few clips were every confidence exactly right (mean of simulations)."""
    brier: float
    log_loss: float
    constant_log_loss: float
    """Of saying the share that was good of every clip (which nobody knows beforehand)."""
    auc: float | None
    """The chance that a good caption has more confidence than one that is not; None where all are alike."""
    bins: tuple[Bin, ...]
    kept: tuple[Kept, ...]


def fit(signals: Floats, good: Flags) -> tuple[float, ...]:
    """Intercept and slopes of Platt's map, by Newton's method; a first slope below 0 is replaced by 0.

    Raises DataError where there are too few clips, or too few good or bad ones, to learn anything from.
    """
    few = min(int(good.sum()), int((~good).sum()))
    if len(good) < LEAST_CLIPS or few < LEAST_EACH:
        raise DataError(
            f"{int(good.sum())} of {len(good)} captions are good: too few to calibrate on; "
            f"calibration needs {LEAST_CLIPS} clips, at least {LEAST_EACH} with a good caption and {LEAST_EACH} without"
        )
    return _platt(signals, good)


def fit_offset(logits: Floats, good: Flags) -> float:
    """The offset of the ``logits`` of some clips, with a standard normal prior: few clips move it little."""
    offset = 0.0
    for _ in range(50):
        chance = _logistic(logits + offset)
        slope = float((good - chance).sum()) - offset
        step = slope / (float((chance * (1 - chance)).sum()) + 1.0)
        offset += step
        if abs(step) < 1e-9:
            break
    return offset


def cross_validate(signals: Floats, good: Flags, *, seed: int = 12345) -> float:
    """Log-loss (nats) of ten-fold cross-validation, the mean of ten random divisions into folds."""
    generator = np.random.default_rng(seed)
    losses = []
    for _ in range(_REPEATS):
        fold = generator.permutation(np.arange(len(good)) % _FOLDS)
        held = np.zeros(len(good))
        for k in range(_FOLDS):
            intercept, *slopes = _platt(signals[fold != k], good[fold != k])
            held[fold == k] = _logistic(intercept + signals[fold == k] @ slopes)
        losses.append(_log_loss(held, good))
    return float(np.mean(losses))


def measure(
    confidence: Floats, good: Flags, *, bins: int = BINS, resamples: int = 1000, seed: int = 12345
) -> Reliability:
    """Reliability curve, calibration error with its interval, and what a threshold keeps."""
    generator = np.random.default_rng(seed)
    drawn = [generator.integers(0, len(good), len(good)) for _ in range(resamples)]
    low, high = np.percentile([_error(confidence[i], good[i], bins) for i in drawn], [2.5, 97.5])
    chance = [_error(confidence, generator.random(len(good)) < confidence, bins) for _ in range(resamples)]
    share = float(good.mean())
    return Reliability(
        clips=len(good),
        good=share,
        mean_confidence=float(confidence.mean()),
        ece=_error(confidence, good, bins),
        ece_low=float(low),
        ece_high=float(high),
        ece_by_chance=float(np.mean(chance)),
        brier=float(np.mean((confidence - good) ** 2)),
        log_loss=_log_loss(confidence, good),
        constant_log_loss=_log_loss(np.full(len(good), share), good),
        auc=auc(confidence, good) if 0 < share < 1 else None,
        bins=tuple(_bin(confidence[i], good[i]) for i in _parts(confidence, bins)),
        kept=tuple(_kept(confidence, good, threshold) for threshold in THRESHOLDS),
    )


def confidence_of(evaluation: Evaluation, rows: Mapping[str, Mapping[str, Any]]) -> Reliability | None:
    """How reliable the confidence in ``rows`` (by clip id) is.

    None where it is not calibrated, and so promises nothing, or where there are too few captions.
    """
    clips = [clip for clip in evaluation.clips if "confidence" in rows.get(clip.id, {})]
    if len(clips) < FEWEST or not all(rows[clip.id].get("calibrated") for clip in clips):
        return None
    confidence = np.array([float(rows[clip.id]["confidence"]) for clip in clips])
    return measure(confidence, np.array([is_good(clip.caption, clip.references) for clip in clips]))


def unsure_below(confidence: Floats, good: Flags, *, share: float = GOOD_SHARE) -> float:
    """The least threshold, in hundredths, above which at least ``share`` of the captions is good; 0 is none needed.

    1 where no threshold does.
    """
    for hundredths in range(100):
        kept = good[confidence >= hundredths / 100]
        if not len(kept):
            break
        if kept.mean() >= share:
            return hundredths / 100
    return 1.0


def _platt(signals: Floats, good: Flags) -> tuple[float, ...]:
    intercept, first, *others = _newton(signals, good)
    if first < 0:
        intercept, *others = _newton(signals[:, 1:], good)
    return intercept, max(0.0, first), *others


def _newton(signals: Floats, good: Flags) -> tuple[float, ...]:
    design = np.column_stack([np.ones(len(signals)), signals])
    size = design.shape[1]
    ridge, weights = np.diag([0.0] + [_RIDGE] * (size - 1)), np.zeros(size)
    for _ in range(100):
        chance = _logistic(design @ weights)
        gradient = design.T @ (chance - good) / len(good) + ridge @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design / len(good) + ridge
        step = np.linalg.solve(curvature + 1e-12 * np.eye(size), gradient)
        weights -= step
        if np.abs(step).max() < 1e-10:
            break
    return tuple(float(weight) for weight in weights)


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def _log_loss(confidence: Floats, good: Flags) -> float:
    right = np.where(good, confidence, 1 - confidence)
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def _parts(confidence: Floats, bins: int) -> list[NDArray[np.int64]]:
    """Positions of equally many captions of rising confidence; captions of the very same confidence stay in order."""
    order = np.argsort(confidence, kind="stable")
    return [part for part in np.array_split(order, bins) if len(part)]


def _bin(confidence: Floats, good: Flags) -> Bin:
    return Bin(
        clips=len(good),
        low=float(confidence.min()),
        high=float(confidence.max()),
        confidence=float(confidence.mean()),
        good=float(good.mean()),
    )


def _error(confidence: Floats, good: Flags, bins: int) -> float:
    gaps = [abs(float((confidence[i] - good[i]).sum())) for i in _parts(confidence, bins)]
    return sum(gaps) / len(good)


def _kept(confidence: Floats, good: Flags, threshold: float) -> Kept:
    chosen = confidence >= threshold
    return Kept(threshold, float(chosen.mean()), float(good[chosen].mean()) if chosen.any() else None)
