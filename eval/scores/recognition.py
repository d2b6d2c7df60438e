"""Accuracy, average precision and confusions of a recogniser of actions, with intervals by resampling clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError
from captioner.manifest import Clip
from eval.scores.statistics import Floats, Interval

Integers = NDArray[np.int64]

RESAMPLES, SEED = 1000, 12345


@dataclass(frozen=True)
class Recognition:
    """Probabilities (N, C) of N clips, and which labels (N, C) are true."""

    labels: tuple[str, ...]
    found: Floats
    true: NDArray[np.bool_]

    @property
    def measures(self) -> dict[str, float]:
        """Top-1 and top-5 accuracy, the mean accuracy of classes, and the mean average precision; 0 to 1."""
        return {
            "top-1": float(self._hits(1).mean()),
            "top-5": float(self._hits(5).mean()),
            "per class": self._per_class(),
            "mAP": float(np.mean([average_precision(self.found[:, c], self.true[:, c]) for c in self._present()])),
        }

    def intervals(self) -> dict[str, Interval]:
        """Each measure with the central 95 % of its bootstrap resamples of clips."""
        generator = np.random.default_rng(SEED)
        drawn = []
        for _ in range(RESAMPLES if len(self.found) < 3000 else RESAMPLES // 4):
            some = generator.integers(0, len(self.found), len(self.found))
            drawn.append(list(Recognition(self.labels, self.found[some], self.true[some]).measures.values()))
        found = self.measures
        return dict(zip(found, map(Interval.of, found.values(), np.array(drawn).T), strict=True))

    def confusion(self) -> Integers:
        """How many clips of each true label (rows; of several the first) were taken for each label (columns)."""
        counts = np.zeros((len(self.labels),) * 2, np.int64)
        np.add.at(counts, (self.true.argmax(axis=1), self.found.argmax(axis=1)), 1)
        return counts

    def right(self) -> NDArray[np.bool_]:
        """Whether the likeliest label of each clip is true."""
        return self._hits(1)

    def _hits(self, count: int) -> NDArray[np.bool_]:
        best = np.argsort(-self.found, axis=1, kind="stable")[:, :count]
        hits = np.take_along_axis(self.true, best, axis=1)
        return np.asarray(hits.any(axis=1), bool)

    def _present(self) -> Integers:
        return np.flatnonzero(self.true.any(axis=0))

    def _per_class(self) -> float:
        right = self.right()
        return float(np.mean([right[self.true[:, c]].mean() for c in self._present()]))


def average_precision(scores: Floats, true: NDArray[np.bool_]) -> float:
    """Mean of the precision at each true clip, in the order of falling score (as PASCAL VOC since 2010)."""
    order = true[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(order) / np.arange(1, len(order) + 1)
    return float(precision[order].mean())


def collect(
    clips: Sequence[Clip], rows: Mapping[str, Mapping[str, Any]], labels: tuple[str, ...]
) -> tuple[Recognition, list[Clip]]:
    """The probabilities and true labels of the clips that could be decoded."""
    kept = [clip for clip in clips if "alternatives" in rows[clip.id]]
    if not kept:
        raise DataError("no clip could be decoded")
    place = {label: i for i, label in enumerate(labels)}
    found, true = np.zeros((len(kept), len(labels))), np.zeros((len(kept), len(labels)), bool)
    for i, clip in enumerate(kept):
        for other in rows[clip.id]["alternatives"]:
            found[i, place[other["caption"]]] = np.exp(other["log_prob"])
        true[i, [place[label] for label in clip.labels]] = True
    return Recognition(labels, found, true), kept
