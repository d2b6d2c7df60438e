"""The checkpoint folder of a detector of anomalies: what is normal for one camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.anomalies.detector import Detector
from captioner.anomalies.scoring import Tail
from captioner.checkpoint.files import (
    WEIGHTS,
    check_files,
    digest,
    half,
    load_weights,
    read_folder,
    section,
    write_folder,
)
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
    folder = located(folder)
    config = read_folder(folder, keys=_KEYS, files={WEIGHTS}, task="anomalies")
    check_files(folder, config)
    detector = Detector(
        section(FootageConfig, config, "footage", folder), section(DetectorConfig, config, "detector", folder)
    )
    load_weights(detector, folder / WEIGHTS)
    return AnomalyCheckpoint(
        detector=detector.eval(),
        tail=section(Tail, config, "tail", folder),
        learnt_from=config["learnt_from"],
        fingerprint=digest(folder / "config.json")[:12],
    )
