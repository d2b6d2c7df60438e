"""Photos as they might have been taken: cut, mirrored and lit at random, so that a CNN does not learn them by heart."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_ASPECT = 4 / 3
_LIGHT = 0.3


def augment(frames: Tensor, rng: np.random.Generator, *, least: float) -> Tensor:
    """Random crops, mirror images and colours of frames (N, S, S, 3) uint8, in the same shape.

    A crop has ``least`` to 1 of the area (Szegedy et al. 2015). Half are mirrored. Brightness, contrast and saturation
    are 0.7 to 1.3.
    """
    count, side = frames.shape[:2]
    area = rng.uniform(least, 1, count)
    aspect = np.exp(rng.uniform(-math.log(_ASPECT), math.log(_ASPECT), count) / 2)
    sides = np.stack([np.sqrt(area) * aspect, np.sqrt(area) / aspect], axis=1).clip(max=1)
    theta = np.zeros((count, 2, 3), dtype=np.float32)
    theta[:, [0, 1], [0, 1]] = sides
    theta[:, :, 2] = rng.uniform(-1, 1, (count, 2)) * (1 - sides)
    theta[:, 0, 0] *= rng.choice([-1, 1], count)
    light = rng.uniform(1 - _LIGHT, 1 + _LIGHT, (3, count, 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = torch.from_numpy(light).to(frames.device)

    photos = frames.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(theta).to(frames.device), [count, 3, side, side], align_corners=False)
    photos = F.grid_sample(photos, grid, padding_mode="reflection", align_corners=False)
    grey = photos.mean(dim=1, keepdim=True)
    photos = grey + saturation * (photos - grey)
    middle = photos.mean(dim=(1, 2, 3), keepdim=True)
    photos = brightness * (middle + contrast * (photos - middle))
    return photos.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
