"""Scores over subsets of the clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.scores.evaluation import ClipScore, Evaluation
from eval.scores.statistics import Interval, intervals

FEWEST = 5
"""Clips below which an interval would say nothing."""
MOST_GROUPS = 4
RESAMPLES, SEED = 1000, 12345


@dataclass(frozen=True)
class Slice:
    """The scores of some clips; document frequencies stay those of all."""

    label: str
    clips: int
    scores: dict[str, Interval]
    """By metric, in coco-caption's units."""
    sure: bool
    """Whether there are enough clips for the intervals to mean something."""


@dataclass(frozen=True)
class Slicing:
    """One way of dividing the clips."""

    title: str
    slices: tuple[Slice, ...]


def slicings(evaluation: Evaluation) -> tuple[Slicing, ...]:
    """By length of the caption, by number of references and by category, where these differ between clips."""
    clips = evaluation.clips
    found = [
        Slicing("Words in the caption", _by_number(clips, [clip.words for clip in clips])),
        Slicing("References of the clip", _by_number(clips, [len(clip.references) for clip in clips])),
        Slicing("Category", _by_label(clips)),
    ]
    return tuple(slicing for slicing in found if len(slicing.slices) > 1)


def groups(values: Sequence[int], *, most: int = MOST_GROUPS) -> list[tuple[int, int]]:
    """Ranges (first, last) that hold about equally many of ``values``, at most ``most``; each value whole."""
    distinct = sorted(set(values))
    if len(distinct) <= most:
        return [(value, value) for value in distinct]
    cuts = [int(np.quantile(values, i / most, method="lower")) for i in range(1, most)]
    lasts = sorted({*cuts, distinct[-1]})
    firsts = [distinct[0]] + [next(v for v in distinct if v > last) for last in lasts[:-1]]
    return list(zip(firsts, lasts, strict=True))


def _by_number(clips: Sequence[ClipScore], values: Sequence[int]) -> tuple[Slice, ...]:
    return tuple(
        _slice(
            str(first) if first == last else f"{first} to {last}",
            [clip for clip, value in zip(clips, values, strict=True) if first <= value <= last],
        )
        for first, last in groups(values)
    )


def _by_label(clips: Sequence[ClipScore]) -> tuple[Slice, ...]:
    """Largest category first; clips without one come last."""
    found: dict[str | None, list[ClipScore]] = {}
    for clip in clips:
        found.setdefault(clip.category, []).append(clip)
    if set(found) == {None}:
        return ()
    ordered = sorted(found.items(), key=lambda item: (item[0] is None, -len(item[1]), item[0] or ""))
    return tuple(_slice("(none)" if label is None else label, members) for label, members in ordered)


def _slice(label: str, clips: Sequence[ClipScore]) -> Slice:
    rows = np.array([clip.counts for clip in clips])
    return Slice(label, len(clips), intervals(rows, resamples=RESAMPLES, seed=SEED), len(clips) >= FEWEST)
