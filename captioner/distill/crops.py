"""The views that teacher and student share: augmented crops to learn from, whole frames to measure on."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from captioner.distill.recipe import Phase


def crop(
    pixels: np.ndarray | Tensor,
    order: Tensor,
    *,
    size: int,
    phase: Phase,
    chance: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Augmented crops (B,3,size,size), float in [-1, 1], channels last, of frames ``order`` (B,) of (N,S,S,3) uint8.

    A random part of the frame, perhaps mirrored, in other light and colour; some batches blended in pairs. All chances
    are drawn from ``chance`` on the CPU, so that they are the same on every device.
    """
    count = len(order)

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=chance)).view(-1, 1, 1, 1)

    place = _places(count, phase.smallest, chance)
    light, contrast, colour = uniform(-0.25, 0.25), uniform(0.7, 1.3), uniform(0.6, 1.4)
    blend = torch.rand(1, generator=chance).item() < phase.mix
    partner, share = torch.randperm(count, generator=chance), uniform(0.0, 1.0)

    source = take(pixels, order).to(device).movedim(-1, 1).float().div_(127.5).sub_(1)
    grid = F.affine_grid(place.to(device), [count, 3, size, size], align_corners=False)
    view = F.grid_sample(source, grid, padding_mode="reflection", align_corners=False)
    light, contrast, colour, share = (value.to(device) for value in (light, contrast, colour, share))
    grey = view.mean(1, keepdim=True)
    view = (((view - grey) * colour + grey) * contrast + light).clamp_(-1, 1)
    if blend:
        view = share * view + (1 - share) * view[partner.to(device)]
    return view.contiguous(memory_format=torch.channels_last)


def _places(count: int, smallest: float, chance: torch.Generator) -> Tensor:
    """Affine maps (B,2,3) from crop to frame: area ``smallest`` to 1, sides 3:4 to 4:3, half of them mirrored."""
    area, stretch, right, down, mirror = torch.rand(5, count, generator=chance)
    area = smallest + (1 - smallest) * area
    stretch = ((2 * stretch - 1) * math.log(4 / 3)).exp()
    wide, high = (area * stretch).sqrt().clamp_max(1.0), (area / stretch).sqrt().clamp_max(1.0)
    place = torch.zeros(count, 2, 3)
    place[:, 0, 0] = torch.where(mirror < 0.5, -wide, wide)
    place[:, 1, 1] = high
    place[:, 0, 2] = (2 * right - 1) * (1 - wide)
    place[:, 1, 2] = (2 * down - 1) * (1 - high)
    return place


def take(pixels: np.ndarray | Tensor, order: Tensor) -> Tensor:
    """The frames ``order`` of a memory-mapped array, or of a tensor that lies on its device already."""
    if isinstance(pixels, np.ndarray):
        return torch.from_numpy(pixels[order.numpy()])
    return pixels[order.to(pixels.device)]


def whole(frames: np.ndarray, *, size: int) -> Tensor:
    """Whole frames (B,S,S,3) uint8 as they are captioned: (B,3,size,size), float in [-1, 1], channels last."""
    pixels = resized(torch.from_numpy(np.array(frames)).movedim(-1, 1), size)
    return pixels.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def resized(pixels: Tensor, size: int) -> Tensor:
    """(B,3,S,S) scaled to (B,3,size,size) with antialiasing."""
    if pixels.shape[-1] == size:
        return pixels
    return F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
