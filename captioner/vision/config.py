"""Settings of the frame encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The CNN that encodes frames, and how its last feature map is pooled."""

    source: str = ""
    """Where the CNN comes from. A folder or hub id: a transformers CNN. ``efficientnet-lite0`` to ``2``: a pip package.
    ``default``: the CNN of the packaged captioner. ``timm/NAME``: a CNN of timm (extra ``[timm]``). A recipe may also
    name the folder of a CNN that ``task.kind = "words"`` fine-tuned. A checkpoint holds the name of the package,
    ``default@DIGEST``, or nothing if it carries all weights itself."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """``random``: start from random weights; the source then needs only a ``config.json``."""
    grid: int = 0
    """0: one vector a frame (global average pooling). g: the map pooled to g x g places, so that attention covers
    places as well as times."""
    untuned: bool = False
    """Also run the original last stages of the pip package, on a quarter of the frames. The noun probabilities
    (decoder.evidence) then come from these. For a fine-tuned CNN, which forgets some nouns."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Mean of the normalisation."""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Its standard deviation: the CNN gets ``(rgb / 255 - mean) / std``."""

    def __post_init__(self) -> None:
        require(0 <= self.grid <= 16, f"encoder.grid is {self.grid}; it must be 0 (pooled) to 16")
        require(min(self.std) > 0, f"encoder.std is {self.std}; every value must be above 0")
