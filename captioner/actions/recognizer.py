"""From a path to actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from captioner.actions.checkpoint import ActionCheckpoint, load_recognizer
from captioner.actions.config import TOP
from captioner.actions.network import probabilities
from captioner.caption.clips import EncodedClip, find_device
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames


@dataclass(frozen=True, kw_only=True)
class Action:
    """One label of a clip."""

    label: str
    probability: float
    over_time: tuple[float, ...]
    """Its probability at each frame, given the frames before."""
    peak_seconds: float
    """Time of the highest one."""


class Recognizer:
    """Recognises actions in video files with one checkpoint.

    >>> Recognizer.load().actions("clip.mp4")[0].label  # doctest: +SKIP
    'riding a horse'
    """

    def __init__(self, checkpoint: ActionCheckpoint, *, device: str | None = None) -> None:
        """Raises ConfigError for a device that is not there."""
        self.checkpoint = checkpoint
        self.labels = checkpoint.labels
        self.device = find_device(device)
        self._encoder = checkpoint.model.to(self.device).encoder.fast()

    @classmethod
    def load(cls, folder: str | Path | None = None, *, device: str | None = None) -> Recognizer:
        """Load a checkpoint folder; by default the one inside the package. Raises CheckpointError and ConfigError."""
        return cls(load_recognizer(folder), device=device)

    @property
    def video(self) -> VideoConfig:
        """The frame recipe that the model was trained with."""
        return self.checkpoint.video

    def actions(self, path: str | Path, *, top: int = TOP, timeout_seconds: float | None = 60.0) -> list[Action]:
        """The likeliest actions of one video file or image, likeliest first. Raises VideoError."""
        return self.recognize(sample_frames(path, self.video, timeout_seconds=timeout_seconds), top=top)

    def recognize(self, frames: Frames, *, top: int = TOP) -> list[Action]:
        """The likeliest actions of frames that are decoded already."""
        return self.recognize_encoded([EncodedClip(frames, self.encode(frames))], top=top)[0]

    def recognize_encoded(
        self, clips: Sequence[EncodedClip], *, top: int = TOP, shape: tuple[int, int] = (0, 0)
    ) -> list[list[Action]]:
        """The likeliest actions of each clip from its features, in one batch, padded to ``shape`` clips and frames."""
        found, over_time = self.probabilities([clip.features for clip in clips], shape=shape)
        return [
            [self._action(label, found[i], over_time[i], clip.frames) for label in _best(found[i], top)]
            for i, clip in enumerate(clips)
        ]

    def encode(self, frames: Frames) -> np.ndarray:
        """What the CNN sees in a clip: (T, P, D) float32. Any thread may call it, once one call has returned."""
        return self._encoder.clip(frames.pixels)

    @torch.inference_mode()
    def probabilities(
        self, features: Sequence[np.ndarray], *, shape: tuple[int, int] = (0, 0)
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of clips' features: each clip's probabilities (B, C), and over its frames [(T, C)]."""
        model, temperature = self.checkpoint.model, self.checkpoint.temperature
        logits = model(*self._encoder.batch(features, shape))
        several = model.head.config.multi_label
        clips, frames = (
            probabilities(each, multi_label=several, temperature=temperature).cpu().numpy() for each in logits
        )
        return clips[: len(features)], [frames[i, : len(array)] for i, array in enumerate(features)]

    def _action(self, label: int, clip: np.ndarray, over_time: np.ndarray, frames: Frames) -> Action:
        course = over_time[:, label]
        return Action(
            label=self.labels[label],
            probability=float(clip[label]),
            over_time=tuple(course.tolist()),
            peak_seconds=frames.times_seconds[int(course.argmax())],
        )


def _best(probabilities: np.ndarray, count: int) -> list[int]:
    return [int(i) for i in np.argsort(-probabilities, kind="stable")[:count]]
