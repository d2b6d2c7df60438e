"""Scores footage as it is read: from a path to moments, and to the events among them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from captioner.anomalies.checkpoint import AnomalyCheckpoint, load_detector
from captioner.anomalies.footage import read_footage
from captioner.anomalies.scoring import Event, Moment, Smoother, find_events

ALARMS_PER_HOUR = 1.0
"""False alarms that are asked for, unless said otherwise."""


class Watcher:
    """Finds what is abnormal in footage with one checkpoint.

    >>> [event.start_seconds for event in Watcher.load("cam1").events("today.mp4")]  # doctest: +SKIP
    [12.4]
    """

    def __init__(self, checkpoint: AnomalyCheckpoint, *, alarms_per_hour: float = ALARMS_PER_HOUR) -> None:
        """``alarms_per_hour``: how many false alarms an hour of normal footage may have. Raises ConfigError."""
        self.checkpoint = checkpoint
        self.threshold = checkpoint.tail.threshold(alarms_per_hour)
        self.step_seconds = 1 / checkpoint.detector.footage.rate

    @classmethod
    def load(cls, folder: str | Path, *, alarms_per_hour: float = ALARMS_PER_HOUR) -> Watcher:
        """Load a checkpoint folder. Raises CheckpointError and ConfigError."""
        return cls(load_detector(folder), alarms_per_hour=alarms_per_hour)

    def moments(
        self,
        path: str | os.PathLike[str],
        *,
        timeout_seconds: float | None = 60.0,
        idle_seconds: float | None = None,
    ) -> Iterator[Moment]:
        """The score of each picture, a second of footage at a time, in constant memory. Raises VideoError.

        ``path`` and the two times are those of ``footage.read_footage``.
        """
        detector, state = self.checkpoint.detector, None
        smoother = Smoother(detector.footage.see)
        pictures = read_footage(path, detector.footage, timeout_seconds=timeout_seconds, idle_seconds=idle_seconds)
        count = max(1, round(detector.footage.rate))
        while some := list(itertools.islice(pictures, count)):
            seen = detector.sight.look(np.stack([picture.pixels for picture in some]))
            surprise, state = detector(seen, state)
            for picture, each in zip(some, surprise.numpy(), strict=True):
                yield smoother.push(picture.seconds, each)

    def events(self, path: str | os.PathLike[str], *, timeout_seconds: float | None = 60.0) -> list[Event]:
        """The spans in which the score of a file is above the threshold. Raises VideoError."""
        return list(self.find(self.moments(path, timeout_seconds=timeout_seconds)))

    def find(self, moments: Iterator[Moment]) -> Iterator[Event]:
        """The events of moments, each as soon as it is over."""
        return find_events(moments, threshold=self.threshold, step_seconds=self.step_seconds)
