"""Area under the ROC curve, equal error rate and events found of a detector of anomalies, by resampling films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from captioner.manifest import Clip
from eval.scores.statistics import Flags, Floats, Interval, auc

if TYPE_CHECKING:
    from captioner.anomalies.watcher import Watcher

RESAMPLES, SEED = 500, 12345


@dataclass(frozen=True)
class Scored:
    """One film: the score of each picture, which are abnormal, and how its events meet the abnormal spans."""

    category: str
    scores: Floats
    abnormal: Flags
    spans: int
    found: int
    """Spans that an event overlaps."""
    false_alarms: int
    """Events that overlap no span."""
    normal_hours: float


def equal_error_rate(scores: Floats, abnormal: Flags) -> float:
    """The error rate at the threshold where as large a share of normal pictures is above as of abnormal ones below."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(abnormal[order]) / max(1, abnormal.sum())
    alarms = np.cumsum(~abnormal[order]) / max(1, (~abnormal).sum())
    place = int(np.argmin(np.abs(alarms - (1 - hits))))
    return float((alarms[place] + 1 - hits[place]) / 2)


def measures(films: Sequence[Scored]) -> dict[str, float]:
    """AUC over all pictures (micro) and as the mean over films (macro), EER, and the share of spans found; 0 to 1."""
    scores, abnormal = np.concatenate([f.scores for f in films]), np.concatenate([f.abnormal for f in films])
    mixed = [film for film in films if film.abnormal.any() and not film.abnormal.all()]
    spans = sum(film.spans for film in films)
    return {
        "AUC micro": auc(scores, abnormal),
        "AUC macro": float(np.mean([auc(film.scores, film.abnormal) for film in mixed])),
        "EER": equal_error_rate(scores, abnormal),
        "events found": sum(film.found for film in films) / max(1, spans),
    }


def intervals(films: Sequence[Scored]) -> dict[str, Interval]:
    """Each measure with the central 95 % of its bootstrap resamples of films."""
    generator = np.random.default_rng(SEED)
    drawn: list[list[float]] = []
    while len(drawn) < RESAMPLES:
        some = [films[i] for i in generator.integers(0, len(films), len(films))]
        if any(film.abnormal.any() and not film.abnormal.all() for film in some):
            drawn.append(list(measures(some).values()))
    found = measures(films)
    return dict(zip(found, map(Interval.of, found.values(), np.array(drawn).T), strict=True))


def by_category(films: Sequence[Scored]) -> dict[str, float]:
    """AUC micro of each kind of anomaly, its films with those that are normal throughout."""
    normal = [film for film in films if not film.spans]
    kinds = sorted({film.category for film in films if film.spans})
    return {
        kind: measures([*normal, *(film for film in films if film.spans and film.category == kind)])["AUC micro"]
        for kind in kinds
    }


def score_film(watcher: Watcher, clip: Clip, *, timeout_seconds: float | None) -> Scored:
    """Score one film and compare with what its manifest says. Raises VideoError."""
    assert clip.path is not None
    moments = list(watcher.moments(clip.path, timeout_seconds=timeout_seconds))
    events = list(watcher.find(iter(moments)))
    seconds = np.array([moment.seconds for moment in moments])
    abnormal = np.zeros(len(moments), bool)
    for start, end in clip.abnormal:
        abnormal |= (seconds >= start) & (seconds < end)
    met = [[start < e.end_seconds and end > e.start_seconds for e in events] for start, end in clip.abnormal]
    return Scored(
        category=clip.category or "",
        scores=np.array([moment.score for moment in moments]),
        abnormal=abnormal,
        spans=len(clip.abnormal),
        found=sum(map(any, met)),
        false_alarms=sum(not any(column) for column in zip(*met, strict=True)) if met else len(events),
        normal_hours=float((~abnormal).sum()) * watcher.step_seconds / 3600,
    )
