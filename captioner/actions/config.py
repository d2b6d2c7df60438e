"""Settings of the network that recognises actions, and of what is reported of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import check_settings, require, setting
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


TOP = 5
"""Actions reported for a clip by default."""


@dataclass(frozen=True, kw_only=True)
class ActionSettings:
    """What is reported of a clip; the options of ``captioner actions`` are made from these fields."""

    top: int = setting(TOP, "actions reported for each clip (default: 5)", metavar="K", low=1)
    min_confidence: float = setting(
        0.0, "threshold below which a result is marked as unsure", metavar="C", low=0, high=1
    )

    def __post_init__(self) -> None:
        check_settings(self, "actions")
