"""A training run's state on disk: enough to go on after a kill as if nothing had happened."""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from captioner.errors import CheckpointError


@dataclass
class Position:
    """Where the run is. ``batch`` batches of the epoch are done."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    """Sum over the epoch's batches so far."""
    best: float = float("-inf")
    best_epoch: str = ""
    stale: int = 0
    """Epochs of this stage since the best."""


class Average:
    """Exponential moving average of a model's weights; short at first, so that early weights are forgotten."""

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
    """Write the whole state to a temporary sibling, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    state = {
        "position": asdict(position),
        "recipe": recipe,
        "model": model.state_dict(),
        "average": average.weights,
        "averaged": average.count,
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(path: Path) -> dict[str, Any]:
    """The saved state; ``weights_only``, so a tampered file cannot run code."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"the training state {path} is damaged ({type(error).__name__}); delete it to start over"
        ) from error
