"""Recall and median rank of a search, with intervals by resampling clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captioner.retrieval.ranks import ranks
from eval.scores.statistics import Floats, Interval

RESAMPLES, SEED = 1000, 12345
CUTS = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalScores:
    """A system's scores of N clips for each of Q sentences; each sentence belongs to one clip."""

    scores: Floats
    """(Q, N)"""
    owners: np.ndarray
    """(Q,), the clip of each sentence."""

    def to_clip(self) -> np.ndarray:
        """The rank of its clip for each sentence (Q,), 0 is first."""
        return ranks(self.scores, self.owners)

    def to_text(self) -> np.ndarray:
        """The best rank of a clip's own sentences among all, for each clip (N,)."""
        clips = self.scores.shape[1]
        best = np.full(clips, len(self.owners), np.int64)
        own = ranks(self.scores.T[self.owners], np.arange(len(self.owners)))
        np.minimum.at(best, self.owners, own)
        return best

    def measures(self) -> dict[str, Interval]:
        """Recall at 1, 5 and 10 and the median rank, of both directions, with the central 95 % of resamples."""
        forth, back = self.to_clip(), self.to_text()
        clips = self.scores.shape[1]
        draws = np.random.default_rng(SEED).integers(0, clips, size=(RESAMPLES, clips))
        counts = np.bincount(self.owners, minlength=clips)
        found: dict[str, Interval] = {}
        for cut in CUTS:
            hits = np.bincount(self.owners, weights=forth < cut, minlength=clips)
            shares = hits[draws].sum(axis=1) / counts[draws].sum(axis=1)
            found[f"text to clip R@{cut}"] = Interval.of(float((forth < cut).mean()), shares)
        grouped = [forth[self.owners == clip] for clip in range(clips)]
        medians = [float(np.median(np.concatenate([grouped[clip] for clip in some]))) + 1 for some in draws[:200]]
        found["text to clip median rank"] = Interval.of(float(np.median(forth)) + 1, np.array(medians))
        for cut in CUTS:
            found[f"clip to text R@{cut}"] = Interval.of(float((back < cut).mean()), (back < cut)[draws].mean(axis=1))
        found["clip to text median rank"] = Interval.of(float(np.median(back)) + 1, np.median(back[draws], axis=1) + 1)
        return found
