"""A clip of several scenes: the caption describes the surest one, if it is clearly surer of that than of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.linalg import norm

from captioner.caption.result import Caption, Word
from captioner.video.frames import Frames

_SUPPORT = 2.0
"""What a caption's support counts beside its score (benchmarks/scenes.py)."""
_MARGIN = 1.25
"""By how many nats a scene must be surer than the whole: a clip of one scene with a cut in it loses otherwise."""
_LEAST_SHARE = 0.25
"""A scene of a smaller part of the clip's frames is not described alone, nor is one of a single frame."""

Tell = Callable[[Sequence[Frames], Sequence[slice]], Sequence[Caption]]
"""Captions of some frames of a clip: the frames, and where they lie in it."""


def find_scenes(features: np.ndarray, *, change: float) -> list[slice]:
    """The scenes of a clip as slices of its frames, from their features (T, D).

    Neighbouring scenes become one, the most alike first, as long as two have mean features of a cosine distance below
    ``change``. At first each frame is a scene.
    """
    unit = features / np.maximum(norm(features, axis=1, keepdims=True), 1e-12)
    ends, sums = list(range(1, len(unit) + 1)), list(unit)
    while len(sums) > 1:
        likeness = [float(a @ b) / max(1e-12, float(norm(a) * norm(b))) for a, b in pairwise(sums)]
        place = int(np.argmax(likeness))
        if 1 - likeness[place] >= change:
            break
        sums[place : place + 2] = [sums[place] + sums[place + 1]]
        del ends[place]
    return [slice(first, end) for first, end in zip([0, *ends], ends, strict=False)]


def surest(whole: Caption, frames: Frames, features: np.ndarray, tell: Tell, *, change: float) -> Caption:
    """The caption of the ``whole`` clip, or of the scene that it is surer of; ``change`` 0 leaves it as it is.

    ``features`` (T, P, D) are the fine-tuned CNN's. A clip of one scene keeps its caption, and so does one whose surest
    scene gets the same sentence.
    """
    if not change or frames.is_blank or whole.support is None:
        return whole
    scenes = find_scenes(features.mean(axis=1), change=change)
    if len(scenes) < 2:
        return whole
    least = max(2, _LEAST_SHARE * len(features))
    scenes = [scene for scene in scenes if scene.stop - scene.start >= least]
    if not scenes:
        return whole
    parts = [
        replace(frames, pixels=frames.pixels[scene], times_seconds=frames.times_seconds[scene]) for scene in scenes
    ]
    told = [_in_clip(part, scene, whole) for part, scene in zip(tell(parts, scenes), scenes, strict=True)]
    best = max(told, key=_sureness)
    return whole if best.text == whole.text or _sureness(best) < _sureness(whole) + _MARGIN else best


def _sureness(caption: Caption) -> float:
    return caption.score + _SUPPORT * (caption.support or 0.0)


def _in_clip(part: Caption, scene: slice, whole: Caption) -> Caption:
    """The caption of a scene as one of the clip: it attends to no other frame."""
    times = whole.times_seconds
    start = (times[scene.start - 1] + times[scene.start]) / 2 if scene.start else whole.start_seconds
    end = whole.end_seconds if whole.end_seconds is not None else times[-1]
    if scene.stop < len(times):
        end = (times[scene.stop - 1] + times[scene.stop]) / 2
    before, after = scene.start, len(times) - scene.stop

    def widen(word: Word) -> Word:
        nothing = (0.0,) * (len(word.grid[0]) if word.grid else 0)
        grid = (nothing,) * before + word.grid + (nothing,) * after if word.grid else ()
        return replace(word, attention=(0.0,) * before + word.attention + (0.0,) * after, grid=grid)

    return replace(
        part,
        words=tuple(map(widen, part.words)),
        times_seconds=times,
        start_seconds=whole.start_seconds,
        end_seconds=whole.end_seconds,
        warnings=whole.warnings,
        scene_seconds=(start, end),
    )
