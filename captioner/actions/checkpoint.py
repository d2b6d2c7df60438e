"""A trained recogniser of actions as one folder: config.json and the head's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.actions.config import HeadConfig
from captioner.actions.network import ActionModel
from captioner.checkpoint.files import WEIGHTS, check_files, digest, load_network, read_folder, section, write_model
from captioner.checkpoint.hub import find_papers, located
from captioner.config import to_dict
from captioner.errors import CheckpointError
from captioner.video.config import VideoConfig

DEFAULT = Path(__file__).parent / "default"
"""The recogniser inside the package."""

_KEYS = {
    *("format", "captioner", "task", "video", "encoder", "cnn", "head", "labels", "temperature"),
    *("trained_on", "files"),
}


@dataclass(frozen=True, kw_only=True)
class ActionCheckpoint:
    """What a folder holds, loaded and verified."""

    model: ActionModel
    labels: tuple[str, ...]
    video: VideoConfig
    temperature: float
    """Divides the logits, so that probabilities hold on validation clips."""
    trained_on: dict[str, Any]
    papers: dict[str, bytes] = field(default_factory=dict)
    """Notices and licences that go with what is made of it."""
    fingerprint: str


def save_recognizer(
    folder: str | Path,
    *,
    model: ActionModel,
    labels: tuple[str, ...],
    video: VideoConfig,
    temperature: float,
    trained_on: dict[str, Any],
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write a checkpoint to a temporary sibling, then rename it to ``folder`` (replacing what was there).

    ``papers`` are those of the weights that it was made of (:func:`captioner.checkpoint.hub.find_papers`).
    """
    config = {
        "task": "actions",
        "video": to_dict(video),
        "head": to_dict(model.head.config),
        "labels": list(labels),
        "temperature": temperature,
        "trained_on": trained_on,
    }
    write_model(folder, model=model, size=video.size, config=config, papers=papers)


def load_recognizer(folder: str | Path | None = None) -> ActionCheckpoint:
    """Load a recogniser of actions, by default the package's own, on the CPU. Raises CheckpointError."""
    folder = DEFAULT if folder is None else located(folder)
    config = read_folder(folder, keys=_KEYS, files={WEIGHTS}, task="actions")
    check_files(folder, config)
    labels, temperature = config["labels"], config["temperature"]
    if not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
        raise CheckpointError(f"{folder / 'config.json'}: labels must be a list of names")
    if not (isinstance(temperature, float) and 0 < temperature < 1e3):
        raise CheckpointError(f"{folder / 'config.json'}: temperature must be a number above 0, not {temperature!r}")
    head = section(HeadConfig, config, "head", folder)
    return ActionCheckpoint(
        model=load_network(folder, config, lambda encoder: ActionModel(encoder, head, classes=len(labels))),
        labels=tuple(labels),
        video=section(VideoConfig, config, "video", folder),
        temperature=temperature,
        trained_on=config["trained_on"],
        papers=find_papers(folder),
        fingerprint=digest(folder / "config.json")[:12],
    )
