"""A trained recogniser of actions as one folder: config.json and the head's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.actions.config import HeadConfig
from captioner.actions.network import ActionModel
from captioner.checkpoint.files import write_model
from captioner.checkpoint.folder import CheckpointFolder
from captioner.checkpoint.hub import located
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
    saved = CheckpointFolder.open(DEFAULT if folder is None else located(folder), keys=_KEYS, task="actions")
    labels, temperature = saved.names("labels"), saved.config["temperature"]
    if not labels:
        raise CheckpointError(f"{saved.path / 'config.json'}: labels must be a list of names, not an empty one")
    if not (isinstance(temperature, float) and 0 < temperature < 1e3):
        raise CheckpointError(
            f"{saved.path / 'config.json'}: temperature must be a number above 0, not {temperature!r}"
        )
    head = saved.settings(HeadConfig, "head")
    return ActionCheckpoint(
        model=saved.network(lambda encoder: ActionModel(encoder, head, classes=len(labels))),
        labels=labels,
        video=saved.settings(VideoConfig, "video"),
        temperature=temperature,
        trained_on=saved.config["trained_on"],
        papers=saved.papers,
        fingerprint=saved.fingerprint,
    )
