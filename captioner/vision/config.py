"""Settings of the frame encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The CNN that looks at frames: any transformers CNN, and what is made of its last feature map."""

    source: str = ""
    """Folder or hub id of a transformers CNN, or the name of one that comes as a pip package (efficientnet-lite0, 1,
    2), or ``default``, that of the captioner in this package, or ``timm/NAME`` (extra ``[timm]``); in a recipe also
    the folder of one that ``task.kind = "words"`` tuned. In a checkpoint: a package's name, ``default@`` and a digest
    of the weights, or empty where it carries all weights itself."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """``random`` needs only a ``config.json`` at the source; nothing else ever starts from random weights."""
    grid: int = 0
    """0: one vector a frame (global average). g: the map pooled to g x g places, so that attention can look at
    *where* as well as *when*."""
    untuned: bool = False
    """Also look with the last stages that the pip package holds, at a quarter of the frames: the evidence for nouns
    (decoder.evidence) is then read from these. For a CNN that was tuned and forgot some of what it knew."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Pixels reach the CNN as ``(rgb / 255 - mean) / std``."""

    def __post_init__(self) -> None:
        require(0 <= self.grid <= 16, f"encoder.grid is {self.grid}; it must be 0 (pooled) to 16")
        require(min(self.std) > 0, f"encoder.std is {self.std}; every value must be above 0")
