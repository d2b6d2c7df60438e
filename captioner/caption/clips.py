"""What captioners, recognisers of actions and the indexer share: an archive is run with any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from captioner.caption.result import NOWHERE, Caption, Place
from captioner.errors import ConfigError
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames


class EncodedClip(NamedTuple):
    """A clip with its features."""

    frames: Frames
    features: np.ndarray
    """(T, P, D) float32."""
    place: Place = NOWHERE


class ClipModel(Protocol):
    """What an archive is run with: it encodes clips one by one, and captions a batch of them."""

    @property
    def checkpoint(self) -> Any: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def video(self) -> VideoConfig:
        """The frame recipe that it was trained with."""

    @property
    def search(self) -> Any:
        """Its default settings: a ``SearchConfig``, or an ``ActionSettings``."""

    def encode(self, frames: Frames) -> np.ndarray:
        """Features (T, P, D) of a clip. Any thread may call it, once one call has returned."""

    def keeps(self, frames: Frames) -> np.ndarray:
        """The pixels of a clip that are kept after :meth:`encode`, for :meth:`caption_encoded`."""

    def caption_encoded(
        self, clips: Sequence[EncodedClip], *, search: Any = None, shape: tuple[int, int] = (0, 0)
    ) -> list[Caption]:
        """The captions of clips from their features, in one batch that is padded to ``shape`` clips and frames."""


def caption_frames(
    model: ClipModel, clips: Sequence[Frames], *, places: Sequence[Place] | None = None, search: Any = None
) -> list[Caption]:
    """Caption decoded clips in one batch; ``places`` label the results."""
    encoded = [
        EncodedClip(frames, model.encode(frames), place)
        for frames, place in zip(clips, places or [NOWHERE] * len(clips), strict=True)
    ]
    return model.caption_encoded(encoded, search=search)


def find_device(name: str | None) -> torch.device:
    """The device of this name; by default a GPU where there is one. Raises ConfigError."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        why = "this torch is a CPU build" if torch.version.cuda is None else "no CUDA device can be used"
        raise ConfigError(f"device is {name!r}, but {why}; use 'cpu'")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device is {name!r}; it must be 'cpu' or 'cuda'") from None
