"""The network that recognises actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require
from captioner.recurrent.config import CellName


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """What stands on the CNN's features."""

    hidden: int = 320
    """Width H of the frame vectors and of the recurrent state."""
    temporal: Literal["none", "gru", "bigru"] = "gru"
    """Over the frames: a recurrent network in one direction or both, or none (the mean of the frames)."""
    cell: CellName = "gru"
    """Its cell, by the name in ``recurrent.cells``."""
    layers: int = 1
    """Stacked cells."""
    dropout: float = 0.5
    multi_label: bool = False
    """A clip may have several labels, each with a probability of its own; else one, and the probabilities sum to 1."""

    def __post_init__(self) -> None:
        for name in ("hidden", "layers"):
            require(getattr(self, name) >= 1, f"head.{name} is {getattr(self, name)}; it must be at least 1")
        require(self.hidden % 2 == 0, f"head.hidden is {self.hidden}; it must be even")
        require(0 <= self.dropout < 1, f"head.dropout is {self.dropout}; it must be in [0, 1)")
