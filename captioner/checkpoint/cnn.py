"""The folder of a CNN whose last stages were tuned: what changed, and the heads that it was tuned with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from captioner.checkpoint.files import write_model
from captioner.checkpoint.folder import CheckpointFolder
from captioner.config import to_dict
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder

_KEYS = {"format", "captioner", "task", "video", "encoder", "cnn", "words", "labels", "trained_on", "files"}


class Tuned(nn.Module):
    """A CNN with a linear head for words and one for actions on its pooled map."""

    def __init__(self, encoder: FrameEncoder, words: nn.Linear, actions: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.words, self.actions = encoder, words, actions


class WordHead(NamedTuple):
    """A linear detector of words in the features of one frame."""

    stems: tuple[str, ...]
    layer: nn.Linear


def head(width: int, targets: int) -> nn.Linear:
    """Of no targets: a row that nothing reads."""
    return nn.Linear(width, max(1, targets))


def save_tuned(
    folder: Path,
    model: Tuned,
    *,
    words: tuple[str, ...],
    labels: tuple[str, ...],
    video: VideoConfig,
    trained_on: dict[str, Any],
) -> None:
    """Write a checkpoint to a temporary sibling, then rename it to ``folder`` (replacing what was there)."""
    config = {
        "task": "words",
        "video": to_dict(video),
        "words": list(words),
        "labels": list(labels),
        "trained_on": trained_on,
    }
    write_model(folder, model=model, size=video.size, config=config)


def load_whole(folder: Path) -> tuple[Tuned, CheckpointFolder]:
    """The CNN with its heads, and its folder. Raises CheckpointError."""
    saved = CheckpointFolder.open(folder, keys=_KEYS, task="words")
    words, labels = saved.names("words"), saved.names("labels")

    def make(encoder: FrameEncoder) -> Tuned:
        return Tuned(encoder, head(encoder.width, len(words)), head(encoder.width, len(labels)))

    return saved.network(make), saved


def load_tuned(folder: Path, config: EncoderConfig) -> tuple[FrameEncoder, WordHead]:
    """The CNN, read as ``config`` says, and its head for words. Raises CheckpointError."""
    tuned, saved = load_whole(folder)
    own = replace(tuned.encoder.config, grid=config.grid, untuned=config.untuned)
    return tuned.encoder.read_as(own), WordHead(saved.names("words"), tuned.words)
