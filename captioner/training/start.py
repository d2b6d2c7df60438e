"""What a training begins with: a checkpoint to go on from, or a CNN and a frame recipe of its own."""

from __future__ import annotations

from dataclasses import dataclass

from captioner.actions.checkpoint import ActionCheckpoint, load_recognizer
from captioner.checkpoint import Checkpoint, checkpoint_folder, load_checkpoint
from captioner.storage import is_for
from captioner.training.config import Recipe
from captioner.video.config import VideoConfig
from captioner.vision.encoder import FrameEncoder


@dataclass(frozen=True)
class Start:
    """Where a run begins."""

    checkpoint: Checkpoint | ActionCheckpoint | None
    """What ``train.start`` names; a recogniser of actions only for the same task."""
    encoder: FrameEncoder
    video: VideoConfig

    @property
    def fingerprint(self) -> str:
        """Of the checkpoint; empty without one."""
        return self.checkpoint.fingerprint if self.checkpoint else ""


def load_start(recipe: Recipe) -> Start:
    """Load what a recipe begins with. Raises CheckpointError and ConfigError."""
    source = recipe.train.start
    if not source:
        return Start(None, FrameEncoder.load(recipe.encoder), recipe.video)
    own = recipe.task.kind == "actions" and is_for(checkpoint_folder(source), "actions")
    checkpoint = load_recognizer(source) if own else load_checkpoint(source)
    return Start(checkpoint, checkpoint.model.encoder, checkpoint.video)
