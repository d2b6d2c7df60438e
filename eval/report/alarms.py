"""Checks for faults that make a score worthless (copied captions, leaks, ...), each reported in one sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from captioner.errors import DataError, counted
from captioner.manifest import Clip
from data.join import file_digest
from eval.scores.diversity import Diversity
from eval.scores.evaluation import Evaluation

COLLAPSE = 0.10
"""Share of clips with one and the same caption that rings (from COLLAPSE_CLIPS clips on)."""
COLLAPSE_CLIPS = 20
COPIED = 0.80
"""Share of captions that are training captions word for word that rings."""
NAMED = 5

State = Literal["alarm", "fine", "unknown"]


@dataclass(frozen=True)
class Alarm:
    """One check and its outcome; ``unknown`` where what it needs was not given."""

    title: str
    state: State
    text: str


def alarms(evaluation: Evaluation, clips: Sequence[Clip], *, train: Sequence[Clip] | None) -> tuple[Alarm, ...]:
    """All checks of an evaluation of ``clips``; ``train`` are the clips that the model learned from."""
    return (
        _failed(evaluation),
        _collapse(evaluation.diversity),
        _leakage(clips, train),
        _copied(evaluation.diversity),
        _references(evaluation),
    )


def leaks(clips: Sequence[Clip], train: Sequence[Clip]) -> list[tuple[Clip, Clip]]:
    """Pairs (evaluated, training) with one id, or that show the same part of files of equal content.

    Only files of equal size are read; one that cannot be read is no pair.
    """
    ids = {clip.id: clip for clip in train}
    by_size: defaultdict[int, list[Clip]] = defaultdict(list)
    for clip in train:
        if (size := _size(clip.path)) is not None:
            by_size[size].append(clip)
    digest = cache(_digest)

    def same(clip: Clip) -> Clip | None:
        likely = (other for other in by_size.get(_size(clip.path) or -1, []) if _overlap(clip, other))
        return next((other for other in likely if digest(clip.path) == digest(other.path) != ""), None)

    pairs = ((clip, ids.get(clip.id) or same(clip)) for clip in clips)
    return [(clip, other) for clip, other in pairs if other is not None]


def _failed(evaluation: Evaluation) -> Alarm:
    coverage = evaluation.coverage
    failed, missing = len(coverage.failed), len(coverage.missing)
    text = f"Scores cover {coverage.scored} of {counted(coverage.references, 'clip')}; {failed} failed, "
    text += f"{counted(missing, 'has', 'have')} no caption"
    if coverage.empty:
        text += f", {counted(len(coverage.empty), 'has', 'have')} an empty one"
    return Alarm("Clips left out", "alarm" if failed or missing or coverage.empty else "fine", text + ".")


def _collapse(found: Diversity) -> Alarm:
    distinct = round(found.unique_share * found.captions)
    text = (
        f"The most frequent caption, “{found.most_common}”, is given to {100 * found.most_common_share:.1f} % of "
        f"{counted(found.captions, 'clip')}; {counted(distinct, 'caption is', 'captions are')} different."
    )
    if found.captions < COLLAPSE_CLIPS:
        return Alarm("Caption collapse", "unknown", text + f" Under {COLLAPSE_CLIPS} clips that says little.")
    rings = found.most_common_share > COLLAPSE
    return Alarm(
        "Caption collapse",
        "alarm" if rings else "fine",
        text + f" The limit for one caption is {100 * COLLAPSE:.0f} %.",
    )


def _leakage(clips: Sequence[Clip], train: Sequence[Clip] | None) -> Alarm:
    title = "Leakage from training"
    if train is None:
        return Alarm(title, "unknown", "Not checked: name the training manifest with --train.")
    if not clips:
        return Alarm(title, "unknown", "Not checked: only a manifest names the files that would be compared.")
    pairs = leaks(clips, train)
    if not pairs:
        return Alarm(
            title,
            "fine",
            f"None of {len(clips)} clips is among {counted(len(train), 'training clip')}, by id or content.",
        )
    named = ", ".join(f"{clip.id} is {other.id}" for clip, other in pairs[:NAMED])
    more = f" and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
    return Alarm(title, "alarm", f"{len(pairs)} of {len(clips)} clips are training clips too: {named}{more}.")


def _copied(found: Diversity) -> Alarm:
    title = "Copied training captions"
    if found.novel_share is None:
        return Alarm(title, "unknown", "Not checked: name the training manifest with --train.")
    copied = 1 - found.novel_share
    text = (
        f"{100 * copied:.1f} % of the captions are training captions word for word; the limit is {100 * COPIED:.0f} %."
    )
    return Alarm(title, "alarm" if copied > COPIED else "fine", text)


def _references(evaluation: Evaluation) -> Alarm:
    empty, none = evaluation.coverage.empty_references, len(evaluation.coverage.without_references)
    text = (
        f"{counted(empty, 'reference caption has', 'reference captions have')} no word; "
        f"{counted(none, 'clip has', 'clips have')} no reference and cannot be scored."
    )
    return Alarm("Empty references", "alarm" if empty or none else "fine", text)


def _size(path: Path | None) -> int | None:
    try:
        return path.stat().st_size if path is not None and path.is_file() else None
    except OSError:
        return None


def _overlap(one: Clip, other: Clip) -> bool:
    endless = float("inf")
    return max(one.start_seconds or 0, other.start_seconds or 0) < min(
        one.end_seconds or endless, other.end_seconds or endless
    )


def _digest(path: Path | None) -> str:
    """Of a file's content; empty where it cannot be read."""
    try:
        return file_digest(path) if path is not None else ""
    except DataError:
        return ""
