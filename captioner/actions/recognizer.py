"""From a path to actions, with the same way of reading files as captions have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from captioner.actions.checkpoint import ActionCheckpoint, load_recognizer
from captioner.actions.network import probabilities
from captioner.caption.reader import Reader
from captioner.caption.result import Alternative, Caption, Place, Word
from captioner.caption.telling import BLANK
from captioner.language.config import SearchConfig
from captioner.video.frames import Frames

TOP = 5
"""Actions reported for a clip by default."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One label of a clip."""

    label: str
    probability: float
    over_time: tuple[float, ...]
    """Its probability at each frame, given the frames before."""
    peak_seconds: float
    """Time of the highest one."""


class Recognizer(Reader):
    """Recognises actions in video files with one checkpoint.

    >>> Recognizer.load().actions("clip.mp4")[0].label  # doctest: +SKIP
    'riding a horse'
    """

    def __init__(self, checkpoint: ActionCheckpoint, *, device: str | None = None) -> None:
        """Raises ConfigError for a device that is not there."""
        super().__init__(checkpoint, device=device)
        self.checkpoint = checkpoint
        self._head = checkpoint.model.head
        self.labels = checkpoint.labels

    @classmethod
    def load(cls, folder: str | Path | None = None, *, device: str | None = None) -> Recognizer:
        """Load a checkpoint folder; by default the one inside the package. Raises CheckpointError and ConfigError."""
        return cls(load_recognizer(folder), device=device)

    @property
    def search(self) -> SearchConfig:
        """How many labels are reported (``n_best``), and the confidence threshold."""
        count = min(TOP, len(self.labels))
        return SearchConfig(beams=count, n_best=count)

    def actions(self, path: str | Path, *, top: int = TOP, timeout_seconds: float | None = 60.0) -> list[Action]:
        """The likeliest actions of one video file or image, likeliest first. Raises VideoError."""
        return self.recognize(self.sample(path, timeout_seconds=timeout_seconds), top=top)

    def recognize(self, frames: Frames, *, top: int = TOP) -> list[Action]:
        """The likeliest actions of frames that are decoded already."""
        clip, over_time = self.probabilities([self.encode(frames)])
        return [self._action(i, clip[0], over_time[0], frames) for i in _best(clip[0], top)]

    def probabilities(
        self, features: Sequence[np.ndarray], *, shape: tuple[int, int] = (0, 0)
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of clips' features: each clip's probabilities (B, C), and over its frames [(T, C)]."""
        with torch.inference_mode():
            logits = self.checkpoint.model(*self._padded(features, shape))
        scale = {"multi_label": self._head.config.multi_label, "temperature": self.checkpoint.temperature}
        clips, frames = (probabilities(each, **scale).cpu().numpy() for each in logits)
        return clips[: len(features)], [frames[i, : len(array)] for i, array in enumerate(features)]

    def _say(
        self,
        clips: Sequence[Frames],
        features: Sequence[np.ndarray],
        places: Sequence[Place],
        *,
        config: SearchConfig,
        shape: tuple[int, int],
    ) -> list[Caption]:
        """The likeliest action of each clip as its caption, the others as its alternatives (docs/howto/actions.md)."""
        found, over_time = self.probabilities(features, shape=shape)
        return [
            self.as_caption(
                frames,
                place,
                [self._action(k, found[i], over_time[i], frames) for k in _best(found[i], config.n_best)],
                min_confidence=config.min_confidence,
            )
            for i, (frames, place) in enumerate(zip(clips, places, strict=True))
        ]

    def _action(self, label: int, clip: np.ndarray, over_time: np.ndarray, frames: Frames) -> Action:
        course = over_time[:, label]
        return Action(
            label=self.labels[label],
            probability=float(clip[label]),
            over_time=tuple(course.tolist()),
            peak_seconds=frames.times_seconds[int(course.argmax())],
        )

    def as_caption(self, frames: Frames, place: Place, actions: list[Action], *, min_confidence: float) -> Caption:
        """The likeliest of a clip's actions as its caption, the others as alternatives."""
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
                Alternative(text=a.label, score=a.probability, log_prob=log)
                for a, log in zip(actions, logs, strict=True)
            ),
            times_seconds=frames.times_seconds,
            start_seconds=place.start_seconds,
            end_seconds=place.end(frames),
            warnings=(*frames.warnings, BLANK) if frames.is_blank else frames.warnings,
            model=self.checkpoint.fingerprint,
        )


def _best(probabilities: np.ndarray, count: int) -> list[int]:
    return [int(i) for i in np.argsort(-probabilities, kind="stable")[:count]]
