"""Compares two systems on the same clips: differences, significance, and the clips that changed most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captioner.errors import DataError
from eval.scores.evaluation import Evaluation
from eval.scores.statistics import Difference, compare, scores_by_name

TIE = 1e-9
"""CIDEr differences below this are ties: the same tokens, or no word in common with any reference."""


@dataclass(frozen=True)
class ClipChange:
    """One clip's captions by both systems and their CIDEr (0..10)."""

    id: str
    baseline_caption: str
    system_caption: str
    baseline_cider: float
    system_cider: float
    reference: str
    """One of the references, to judge by."""

    @property
    def change(self) -> float:
        """System minus baseline."""
        return self.system_cider - self.baseline_cider


@dataclass(frozen=True)
class Comparison:
    """A system against a baseline over the clips that both were scored on."""

    baseline: str
    system: str
    clips: int
    clips_of_either: int
    """Clips that at least one was scored on; more than ``clips`` where they captioned different ones."""
    baseline_scores: dict[str, float]
    system_scores: dict[str, float]
    differences: dict[str, Difference]
    wins: int
    """Clips with a higher CIDEr than the baseline's ..."""
    losses: int
    """... and with a lower one."""
    changes: tuple[ClipChange, ...]
    """Every clip whose CIDEr changed, the most improved first."""

    @property
    def ties(self) -> int:
        """Clips with equal CIDEr."""
        return self.clips - self.wins - self.losses


def compare_evaluations(
    system: Evaluation, baseline: Evaluation, *, resamples: int = 1000, trials: int = 10000, seed: int = 12345
) -> Comparison:
    """The comparison over the clips both were scored on.

    Raises DataError where there is none, or where the references or the tokeniser were not the same.
    """
    for what, key in (("references", "refs"), ("tokenisers", "tok")):
        ours, theirs = signature_part(system, key), signature_part(baseline, key)
        if ours != theirs:
            raise DataError(
                f"{system.name} and {baseline.name} cannot be compared: they were scored with different {what} "
                f"({key}:{ours} and {key}:{theirs})"
            )
    old, new = {clip.id: clip for clip in baseline.clips}, {clip.id: clip for clip in system.clips}
    common = [clip for clip in old if clip in new]
    if not common:
        raise DataError(f"{system.name} and {baseline.name} have no clip in common")
    width = min(len(old[common[0]].counts), len(new[common[0]].counts))  # METEOR only where both have it
    rows = np.array([new[clip].counts[:width] for clip in common])
    before = np.array([old[clip].counts[:width] for clip in common])
    changes = [
        ClipChange(
            id=clip,
            baseline_caption=old[clip].caption,
            system_caption=new[clip].caption,
            baseline_cider=old[clip].scores["CIDEr"],
            system_cider=new[clip].scores["CIDEr"],
            reference=new[clip].references[0],
        )
        for clip in common
    ]
    changed = [change for change in changes if abs(change.change) > TIE]
    return Comparison(
        baseline=baseline.name,
        system=system.name,
        clips=len(common),
        clips_of_either=len(old.keys() | new.keys()),
        baseline_scores=scores_by_name(before),
        system_scores=scores_by_name(rows),
        differences=compare(rows, before, resamples=resamples, trials=trials, seed=seed),
        wins=sum(change.change > 0 for change in changed),
        losses=sum(change.change < 0 for change in changed),
        changes=tuple(sorted(changed, key=lambda change: -change.change)),
    )


def signature_part(evaluation: Evaluation, key: str) -> str:
    """The value of one key of an evaluation's signature; empty where it is not there."""
    parts = dict(part.partition(":")[::2] for part in evaluation.signature.split("|"))
    return parts.get(key, "")
