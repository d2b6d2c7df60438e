"""The checkpoint folder of a detector of anomalies: what is normal for one camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.anomalies.detector import Detector
from captioner.anomalies.scoring import Tail
from captioner.checkpoint.files import half, write_folder
from captioner.checkpoint.folder import CheckpointFolder
from captioner.checkpoint.hub import located
from captioner.config import to_dict

_KEYS = {"format", "captioner", "task", "footage", "detector", "tail", "learnt_from", "files"}


@dataclass(frozen=True, kw_only=True)
class AnomalyCheckpoint:
    """What a folder holds, loaded and verified."""

    detector: Detector
    tail: Tail
    learnt_from: dict[str, Any]
    fingerprint: str


def save_detector(folder: str | Path, *, detector: Detector, tail: Tail, learnt_from: dict[str, Any]) -> None:
    """Write a checkpoint to a temporary sibling, then rename it to ``folder`` (replacing what was there)."""
    config = {
        "task": "anomalies",
        "footage": to_dict(detector.footage),
        "detector": to_dict(detector.config),
        "tail": to_dict(tail),
        "learnt_from": learnt_from,
    }
    write_folder(folder, weights=half(detector), config=config)


def load_detector(folder: str | Path) -> AnomalyCheckpoint:
    """Load a detector on the CPU. Raises CheckpointError."""
    saved = CheckpointFolder.open(located(folder), keys=_KEYS, task="anomalies")
    detector = Detector(saved.settings(FootageConfig, "footage"), saved.settings(DetectorConfig, "detector"))
    return AnomalyCheckpoint(
        detector=saved.fill(detector),
        tail=saved.settings(Tail, "tail"),
        learnt_from=saved.config["learnt_from"],
        fingerprint=saved.fingerprint,
    )
