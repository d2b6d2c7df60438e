"""Settings of the detection of anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captioner.config import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class FootageConfig:
    """The frame recipe that learning and scoring share."""

    see: Literal["pixels", "cnn"] = setting(
        "pixels", "pixels: a still camera (default); cnn: a moving camera, or footage with cuts"
    )
    """Tiny frames, or features of the ImageNet CNN at 3 x 3 places: they tell what is there, not where exactly."""
    rate: float = setting(5.0, "frames a second (default: 5)", low=0.5, high=30)
    width: int = setting(32, "width of a tiny frame in pixels", low=9, high=128)
    height: int = setting(24, "height of a tiny frame in pixels", low=9, high=128)
    components: int = setting(48, "principal components kept of the CNN's features", low=4, high=512)

    def __post_init__(self) -> None:
        check_settings(self, "footage")


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """The detector, and how it is trained."""

    method: Literal["gru", "nearest", "difference"] = setting(
        "gru",
        "gru: error in predicting the next frame (default for pixels); nearest: distance to the nearest normal "
        "frame (default for cnn); difference: change from frame to frame",
    )
    hidden: int = setting(32, "channels of the convolutional GRU", low=1)
    window: int = setting(15, "frames of one training sequence", low=3)
    batch_size: int = setting(16, "sequences a step", low=1)
    steps: int = setting(240, "training steps (default: 240)", low=1)
    learning_rate: float = setting(3e-3, "peak learning rate", above=0, high=1)
    forget: float = setting(0.4, "probability that a training sequence resets its state at a step", low=0, high=0.99)
    """So that the network also predicts from a single frame."""
    memories: int = setting(500, "normal frames that nearest keeps", low=1)
    seed: int = setting(0, "random seed of the training (default: 0)", metavar="S")

    def __post_init__(self) -> None:
        check_settings(self, "detector")
