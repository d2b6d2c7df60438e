"""Actions as rows: what ``captioner actions`` writes, in every format that captions have (docs/howto/actions.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from captioner.actions.config import TOP, ActionSettings
from captioner.actions.recognizer import Action, Recognizer
from captioner.caption.clips import EncodedClip
from captioner.caption.result import Alternative, Caption, Place, Word
from captioner.caption.telling import BLANK
from captioner.video.frames import Frames


def as_row(actions: Sequence[Action], frames: Frames, place: Place, *, min_confidence: float, model: str) -> Caption:
    """The likeliest of a clip's actions as its caption, all of them as alternatives; ``model`` is the fingerprint."""
    best = actions[0]
    confidence = 0.0 if frames.is_blank else best.probability
    logs = [math.log(max(action.probability, 1e-12)) for action in actions]
    return Caption(
        path=place.path,
        text=best.label,
        score=logs[0],
        log_prob=logs[0],
        confidence=confidence,
        calibrated=True,
        abstained=confidence < min_confidence,
        words=(Word(text=best.label, attention=best.over_time, peak_seconds=best.peak_seconds),),
        alternatives=tuple(
            Alternative(text=a.label, score=a.probability, log_prob=log) for a, log in zip(actions, logs, strict=True)
        ),
        times_seconds=frames.times_seconds,
        start_seconds=place.start_seconds,
        end_seconds=frames.duration_seconds if place.end_seconds is None else place.end_seconds,
        warnings=(*frames.warnings, BLANK) if frames.is_blank else frames.warnings,
        model=model,
    )


class ActionRows:
    """A recogniser as the :class:`~captioner.caption.clips.ClipModel` that an archive is run with."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self.checkpoint, self.device = recognizer.checkpoint, recognizer.device
        self.video = recognizer.video
        self.search = ActionSettings(top=min(TOP, len(recognizer.labels)))

    def encode(self, frames: Frames) -> np.ndarray:
        """Features (T, P, D) of a clip."""
        return self._recognizer.encode(frames)

    def keeps(self, frames: Frames) -> np.ndarray:
        """No pixels: a row is made from features alone."""
        return frames.pixels[:0].copy()

    def caption_encoded(
        self, clips: Sequence[EncodedClip], *, search: ActionSettings | None = None, shape: tuple[int, int] = (0, 0)
    ) -> list[Caption]:
        """A row of each clip, in one batch that is padded to ``shape`` clips and frames."""
        if not clips:
            return []
        settings, model = search or self.search, self.checkpoint.fingerprint
        found = self._recognizer.recognize_encoded(clips, top=settings.top, shape=shape)
        return [
            as_row(actions, clip.frames, clip.place, min_confidence=settings.min_confidence, model=model)
            for actions, clip in zip(found, clips, strict=True)
        ]
