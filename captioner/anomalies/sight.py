"""What a detector sees of a picture: its pixels, or features of the ImageNet CNN; standardised by normal footage.

Shapes: T pictures, C channels, h x w places.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from captioner.anomalies.config import FootageConfig

_CNN, _GRID = "efficientnet-lite2", 3


class Seen(NamedTuple):
    """What there is in pictures."""

    maps: Tensor
    """(T, C, h, w), of mean 0 and standard deviation 1 on normal footage."""
    beyond: Tensor
    """(T, h, w): the mean square of the rest, outside the C dimensions, in the same units; 0 for pixels."""


class Sight(nn.Module):
    """uint8 pictures in, maps out, standardised by normal footage.

    Of the CNN's features, each place's a vector of length 1, the maps hold the principal components of normal footage.
    """

    mean: Tensor
    scale: Tensor
    basis: Tensor

    def __init__(self, config: FootageConfig) -> None:
        super().__init__()
        self.config = config
        cnn = config.see == "cnn"
        self.channels = config.components if cnn else 3
        self.places = (_GRID, _GRID) if cnn else (config.height, config.width)
        width: int = encoder().width if cnn else 3
        self.register_buffer("mean", torch.zeros(width, 1, 1) if cnn else torch.zeros(3, *self.places))
        self.register_buffer("scale", torch.ones(()))
        if cnn:
            self.register_buffer("basis", torch.zeros(width, self.channels))

    def look(self, pixels: np.ndarray) -> np.ndarray:
        """Pictures (T, rows, columns, 3) uint8 as what is kept of normal footage: themselves, or float16 features."""
        if self.config.see == "pixels":
            return pixels
        features = encoder()(torch.from_numpy(pixels))
        return normalize(features, dim=2).half().numpy()

    def forward(self, look: np.ndarray) -> Seen:
        """Of what ``look`` gave."""
        every = (self._maps(look) - self.mean) * self.scale
        if self.config.see == "pixels":
            return Seen(every, every.new_zeros(len(every), *self.places))
        maps = torch.einsum("tdhw,dc->tchw", every, self.basis)
        beyond = every.square().sum(dim=1) - maps.square().sum(dim=1)
        return Seen(maps, beyond.clamp_min(0) / self.channels)

    def fit(self, look: np.ndarray) -> None:
        """Learn the mean, the scale and the principal components from what ``look`` gave of normal footage."""
        maps = self._maps(look)
        cnn = self.config.see == "cnn"
        self.mean.copy_(maps.mean(dim=(0, 2, 3) if cnn else 0).view_as(self.mean))
        centred = maps - self.mean
        if cnn:
            points = centred.transpose(1, 3).flatten(0, 2)
            values, directions = torch.linalg.eigh((points.T @ points / len(points)).double())
            self.basis.copy_(directions[:, -self.channels :])
            self.scale.copy_(1 / values[-self.channels :].mean().sqrt().clamp_min(1e-4))
        else:
            self.scale.copy_(1 / centred.std().clamp_min(1e-4))

    def _maps(self, look: np.ndarray) -> Tensor:
        """(T, D, h, w) as they are."""
        if self.config.see == "pixels":
            return torch.from_numpy(look).permute(0, 3, 1, 2).float() / 255
        return torch.from_numpy(look).float().transpose(1, 2).unflatten(2, self.places)


@cache
def encoder() -> Any:
    """The CNN, ready for inference; its weights are those of the pip package."""
    from captioner.vision.config import EncoderConfig
    from captioner.vision.encoder import FrameEncoder

    return FrameEncoder.load(EncoderConfig(source=_CNN, grid=_GRID)).fast()
