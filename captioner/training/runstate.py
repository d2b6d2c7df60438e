"""A training run's state on disk, from which an interrupted run resumes bit for bit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from captioner.config import first_difference, from_dict, to_dict
from captioner.errors import CheckpointError, ConfigError
from captioner.safe.whole import put, writing
from captioner.training.config import Recipe


@dataclass
class Position:
    """How far a run is: ``batch`` batches of the epoch are done."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    """Sum over the epoch's batches so far."""
    best: float = float("-inf")
    best_then: float = float("-inf")
    """:attr:`captioner.training.task.Scores.tie_break` of the best."""
    best_epoch: str = ""
    stale: int = 0
    """Epochs of this stage since the best."""
    validations: int = 0
    """In all stages."""
    records: int = 0
    """In the log."""


class Average:
    """Exponential moving average of a model's weights. Its decay is smaller at first, to forget early weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.weights[name].lerp_(tensor, 1 - decay)
            else:
                self.weights[name].copy_(tensor)


def save_state(
    path: Path,
    *,
    position: Position,
    recipe: dict[str, Any],
    model: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the whole state, whole or not at all."""
    state = {
        "position": asdict(position),
        "recipe": recipe,
        "model": model.state_dict(),
        "average": average.weights,
        "averaged": average.count,
        "optimizer": optimizer.state_dict(),
    }
    save_tensors(path, state)


def save_tensors(path: Path, values: dict[str, Any]) -> None:
    """Save a dict for ``torch.load``, whole or not at all, in place of what was there. Raises CaptionerError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            torch.save(values, temporary)
            put(temporary, path, overwrite=True)
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path) -> dict[str, Any]:
    """The saved state; ``weights_only``, so a tampered file cannot run code."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"the training state {path} is damaged ({type(error).__name__}); delete it to start over"
        ) from error


def plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as lists and numbers only, as a saved state holds it."""
    values: dict[str, Any] = json.loads(json.dumps(to_dict(recipe)))
    return values


def difference(saved: dict[str, Any], recipe: Recipe) -> str:
    """How a saved recipe differs from this one, for people; empty: not at all.

    A setting that it lacks is newer than it, and counts as its default.
    """
    with contextlib.suppress(ConfigError):  # of a setting that this version does not know
        saved = plain(from_dict(Recipe, saved))
    now = plain(recipe)
    return "" if saved == now else first_difference(saved, now)


def digest(path: str) -> str:
    """The name of a manifest and the first digits of its SHA-256, for the record of a training."""
    file = Path(path)
    return f"{file.parent.name}/{file.name} sha256:{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
