"""Settings of the detection of anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require

Method = Literal["gru", "nearest", "difference"]
See = Literal["pixels", "cnn"]


@dataclass(frozen=True, kw_only=True)
class FootageConfig:
    """How footage is looked at: the recipe that learning and scoring share."""

    see: See = "pixels"
    """``pixels``: tiny pictures, for a camera that stands still. ``cnn``: features of the ImageNet CNN at 3 x 3 places,
    for cameras that move and footage that is cut: they tell what is seen, not where exactly."""
    rate: float = 5.0
    """Pictures a second."""
    width: int = 32
    height: int = 24
    """Of a tiny picture."""
    components: int = 48
    """Principal components of the CNN's features that are kept."""

    def __post_init__(self) -> None:
        require(0.5 <= self.rate <= 30, f"rate is {self.rate}; it must be 0.5 to 30 pictures a second")
        for name in ("width", "height"):
            value = getattr(self, name)
            require(9 <= value <= 128, f"{name} is {value}; it must be 9 to 128 pixels")
        require(4 <= self.components <= 512, f"components is {self.components}; it must be 4 to 512")


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """What finds the abnormal, and how it is trained."""

    method: Method = "gru"
    """``gru`` predicts the next picture; the baselines are ``nearest``, the distance to the nearest normal one, and
    ``difference``, the change from one picture to the next."""
    hidden: int = 32
    window: int = 15
    """Pictures of one training sequence."""
    batch_size: int = 16
    steps: int = 240
    learning_rate: float = 3e-3
    forget: float = 0.4
    """Probability with which a training sequence forgets its state at a step: the network has to see what it can from
    one picture too, and begins well."""
    memories: int = 500
    """Normal pictures that ``nearest`` keeps."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("hidden", 1), ("window", 3), ("batch_size", 1), ("steps", 1), ("memories", 1)):
            value = getattr(self, name)
            require(value >= least, f"{name} is {value}; it must be at least {least}")
        require(0 < self.learning_rate <= 1, f"learning_rate is {self.learning_rate}; it must be above 0, at most 1")
        require(0 <= self.forget < 1, f"forget is {self.forget}; it must be 0 to 1")
