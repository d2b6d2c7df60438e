"""Clips to features, and features to a batch: what captioners and recognisers of actions share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from captioner.caption.result import Caption, Place
from captioner.errors import ConfigError
from captioner.language.collate import collate_clips
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames
from captioner.vision.choice import distinct_frames, look_every


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
        self,
        clips: Sequence[Frames],
        features: Sequence[np.ndarray],
        *,
        places: Sequence[Place] | None = None,
        search: Any = None,
        shape: tuple[int, int] = (0, 0),
    ) -> list[Caption]:
        """Caption a batch; it is padded to at least ``shape`` clips and frames."""


def caption_frames(
    model: ClipModel, clips: Sequence[Frames], *, places: Sequence[Place] | None = None, search: Any = None
) -> list[Caption]:
    """Caption decoded clips in one batch; ``places`` label the results."""
    return model.caption_encoded(clips, [model.encode(frames) for frames in clips], places=places, search=search)


class ClipEncoder:
    """The fast encoder of a model, on one device."""

    def __init__(self, model: Any, *, device: str | None) -> None:
        """Moves the model to the device: by default a GPU where there is one. Raises ConfigError."""
        self.device = _device(device)
        self._fast = model.to(self.device).encoder.fast()

    def encode(self, frames: Frames) -> np.ndarray:
        """Features (T, P, D) float32 of a clip. A frame that equals one before it shares its features."""
        kept, shared = distinct_frames(frames.pixels)
        looked, needed = np.zeros(len(shared), bool), np.zeros(len(kept), bool)
        looked[look_every(len(shared))] = True
        needed[shared[looked]] = True
        with torch.inference_mode():
            pixels, at = (torch.from_numpy(a).to(self.device) for a in (frames.pixels[kept], needed))
            features: np.ndarray = self._fast(pixels, looked=at).cpu().numpy()[shared]
        features[~looked, self._fast.places :] = 0.0  # what the original CNN sees, where it does not look
        return features

    def batch(self, features: Sequence[np.ndarray], shape: tuple[int, int] = (0, 0)) -> tuple[Tensor, Tensor]:
        """Features (B, T, P, D) and mask (B, T) on the device, padded to ``shape`` with copies and hidden frames.

        In batches of one shape a clip's results do not depend on the other clips, to the last bit (decision 0071).
        """
        filler = [features[0]] * (shape[0] - len(features))
        padded, mask = collate_clips([*features, *filler], like=features[0])
        more = max(0, shape[1] - padded.shape[1])
        return pad(padded, (0, 0, 0, 0, 0, more)).to(self.device), pad(mask, (0, more)).to(self.device)


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        why = "this torch is a CPU build" if torch.version.cuda is None else "no CUDA device can be used"
        raise ConfigError(f"device is {name!r}, but {why}; use 'cpu'")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device is {name!r}; it must be 'cpu' or 'cuda'") from None
