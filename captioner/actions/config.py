"""The network that recognises actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require
from captioner.recurrent.cells import check_cell


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The action classifier on the CNN's features."""

    hidden: int = 320
    """Width H of the frame vectors and of the recurrent state."""
    temporal: Literal["none", "gru", "bigru"] = "gru"
    """Recurrent network over the frames: in one direction, in both, or none (the mean of the frames)."""
    cell: str = "gru"
    """Recurrent cell, by its name in ``recurrent.cells``."""
    layers: int = 1
    """Recurrent layers."""
    dropout: float = 0.5
    """Dropout."""
    multi_label: bool = False
    """True: a clip may have several labels, with a sigmoid each. False: one label, with a softmax."""

    def __post_init__(self) -> None:
        check_cell(self.cell, "head.cell")
        for name in ("hidden", "layers"):
            require(getattr(self, name) >= 1, f"head.{name} is {getattr(self, name)}; it must be at least 1")
        require(self.hidden % 2 == 0, f"head.hidden is {self.hidden}; it must be even")
        require(0 <= self.dropout < 1, f"head.dropout is {self.dropout}; it must be in [0, 1)")
