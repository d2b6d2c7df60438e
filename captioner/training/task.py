"""The interface between the training loop and what it trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

Batch = list[Any]
"""Examples of one step, as the task draws them."""


@dataclass(frozen=True)
class Stage:
    """A stretch of epochs with one objective and one learning-rate schedule."""

    name: str
    epochs: int
    learning_rate: float
    validated: bool = True


@dataclass(frozen=True)
class Scores:
    """What validation found."""

    choice: float
    """The higher, the better: what chooses the checkpoint and stops early."""
    tie_break: float = field(default=0.0, kw_only=True)
    """What chooses between epochs of equal ``choice``; higher is better."""
    chosen_by: dict[str, float]
    """The same under its own name, for the log."""
    values: dict[str, float] = field(default_factory=dict)
    """By measure and set, as fractions."""


class Task(Protocol):
    """What the training loop needs from a task: a network, batches, a loss, a validation score and a checkpoint."""

    @property
    def model(self) -> nn.Module:
        """The network, on its device; its attribute ``encoder`` is the CNN."""

    @property
    def start(self) -> str:
        """Fingerprint of the checkpoint that the training starts from; empty without one."""

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages of the training, in order."""

    def batches(self, stage: Stage, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of one epoch."""

    def loss(
        self, stage: Stage, batch: Batch, *, rng: np.random.Generator, step: int
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and other numbers for the log."""

    def weight(self, stage: Stage, batch: Batch) -> float:
        """How many words or clips the loss of a batch is the mean over: its weight when processes are averaged."""

    def validate(self) -> Scores:
        """Score the model, in eval mode, on the validation clips."""

    def save(self, folder: Path, *, trained_on: dict[str, Any]) -> None:
        """Write a checkpoint folder; what the task was trained on is added to ``trained_on``."""
