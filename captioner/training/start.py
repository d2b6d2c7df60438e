"""The checkpoint that a training goes on from."""

from __future__ import annotations

from captioner.actions.checkpoint import ActionCheckpoint, load_recognizer
from captioner.checkpoint import Checkpoint, checkpoint_folder, load_checkpoint
from captioner.storage import is_for


def load_start(source: str) -> Checkpoint | ActionCheckpoint | None:
    """A captioner or a recogniser of actions, whatever the folder holds; None for no name. Raises CheckpointError."""
    if not source:
        return None
    if is_for(checkpoint_folder(source), "actions"):
        return load_recognizer(source)
    return load_checkpoint(source)
