"""Settings of the detection of anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import require

Method = Literal["gru", "nearest", "difference"]
See = Literal["pixels", "cnn"]


@dataclass(frozen=True, kw_only=True)
class FootageConfig:
    """The frame recipe that learning and scoring share."""

    see: See = "pixels"
    """``pixels``: tiny frames, for a still camera. ``cnn``: features of the ImageNet CNN at 3 x 3 places, for moving
    cameras and footage with cuts. They tell what is there, not where exactly."""
    rate: float = 5.0
    """Frames a second."""
    width: int = 32
    """Width of a tiny frame in pixels."""
    height: int = 24
    """Height of a tiny frame in pixels."""
    components: int = 48
    """Principal components kept of the CNN's features."""

    def __post_init__(self) -> None:
        require(0.5 <= self.rate <= 30, f"rate is {self.rate}; it must be 0.5 to 30 pictures a second")
        for name in ("width", "height"):
            value = getattr(self, name)
            require(9 <= value <= 128, f"{name} is {value}; it must be 9 to 128 pixels")
        require(4 <= self.components <= 512, f"components is {self.components}; it must be 4 to 512")


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """The detector, and how it is trained."""

    method: Method = "gru"
    """``gru``: error in predicting the next frame. The baselines are ``nearest``, the distance to the nearest normal
    frame, and ``difference``, the change from frame to frame."""
    hidden: int = 32
    """Channels of the convolutional GRU."""
    window: int = 15
    """Frames of one training sequence."""
    batch_size: int = 16
    """Sequences a step."""
    steps: int = 240
    """Training steps."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    forget: float = 0.4
    """Probability that a training sequence resets its state at a step, so that the network also predicts from a single
    frame."""
    memories: int = 500
    """Normal frames that ``nearest`` keeps."""
    seed: int = 0
    """Random seed."""

    def __post_init__(self) -> None:
        for name, least in (("hidden", 1), ("window", 3), ("batch_size", 1), ("steps", 1), ("memories", 1)):
            value = getattr(self, name)
            require(value >= least, f"{name} is {value}; it must be at least {least}")
        require(0 < self.learning_rate <= 1, f"learning_rate is {self.learning_rate}; it must be above 0, at most 1")
        require(0 <= self.forget < 1, f"forget is {self.forget}; it must be 0 to 1")
