"""A clip of several scenes: the caption describes the surest one, if it is clearly surer of that than of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.linalg import norm

from captioner.caption.result import Caption, Word
from captioner.video.frames import Frames

_ODDS = 1.5
"""How many times the odds of the whole's caption those of a scene's must be (benchmarks/scenes.py)."""
_LEAST_SECONDS = 4.0
"""A shorter scene does not count, nor does one of a single frame: short shots tell one story together."""

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

    ``features`` (T, P, D) are the fine-tuned CNN's. A clip keeps its caption if fewer than two of its scenes last
    long enough, or if the surest gets the same sentence.
    """
    if not change or frames.is_blank or whole.support is None:
        return whole
    spans = [(scene, _span(scene, whole)) for scene in find_scenes(features.mean(axis=1), change=change)]
    scenes = [s for s, (start, end) in spans if s.stop - s.start > 1 and end - start >= _LEAST_SECONDS]
    if len(scenes) < 2:
        return whole
    parts = [
        replace(frames, pixels=frames.pixels[scene], times_seconds=frames.times_seconds[scene]) for scene in scenes
    ]
    told = [_in_clip(part, scene, whole) for part, scene in zip(tell(parts, scenes), scenes, strict=True)]
    best = max(told, key=lambda caption: caption.confidence)
    surer = best.confidence * (1 - whole.confidence) > _ODDS * whole.confidence * (1 - best.confidence)
    return best if surer and best.text != whole.text else whole


def _span(scene: slice, whole: Caption) -> tuple[float, float]:
    """Start and end in seconds of a scene of the clip: half-way between its frames and its neighbours'."""
    times = whole.times_seconds
    start = (times[scene.start - 1] + times[scene.start]) / 2 if scene.start else whole.start_seconds
    end = whole.end_seconds if whole.end_seconds is not None else times[-1]
    if scene.stop < len(times):
        end = (times[scene.stop - 1] + times[scene.stop]) / 2
    return start, end


def _in_clip(part: Caption, scene: slice, whole: Caption) -> Caption:
    """The caption of a scene as one of the clip: it attends to no other frame."""
    before, after = scene.start, len(whole.times_seconds) - scene.stop

    def widen(word: Word) -> Word:
        nothing = (0.0,) * (len(word.grid[0]) if word.grid else 0)
        grid = (nothing,) * before + word.grid + (nothing,) * after if word.grid else ()
        return replace(word, attention=(0.0,) * before + word.attention + (0.0,) * after, grid=grid)

    return replace(
        part,
        words=tuple(map(widen, part.words)),
        times_seconds=whole.times_seconds,
        start_seconds=whole.start_seconds,
        end_seconds=whole.end_seconds,
        warnings=whole.warnings,
        scene_seconds=_span(scene, whole),
    )
