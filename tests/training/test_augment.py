"""Frames as they might have been taken: where a window is cut, what light does, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import torch

from captioner.training.augment import augment


def scene(count: int, side: int = 32) -> torch.Tensor:
    """Red grows to the right, green downwards; blue is flat."""
    ramp = torch.linspace(40, 200, side).round().to(torch.uint8)
    frame = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side), torch.full((side, side), 120)], -1)
    return frame.to(torch.uint8).expand(count, side, side, 3).contiguous()


def test_windows_are_parts_of_the_frame_mirrored_half_of_the_time() -> None:
    frames = scene(200)
    changed = augment(frames, np.random.default_rng(0), least=0.4)
    assert changed.shape == frames.shape and changed.dtype == torch.uint8
    red, green = changed[..., 0].float().mean(dim=1), changed[..., 1].float().mean(dim=2)
    mirrored = red[:, -1] < red[:, 0]
    assert 70 < mirrored.sum() < 130 and (green[:, -1] > green[:, 0]).all()  # never upside down
    assert (changed[0] != changed[1]).any()
    whole = augment(frames[:4], np.random.default_rng(0), least=1.0)
    spans = [abs(float(x[0, -1, 0]) - float(x[0, 0, 0])) for x in whole]
    assert min(spans) > 60  # all of the frame, but for its aspect: the ramp spans 160, times contrast and light


def test_it_is_the_same_again_by_the_same_numbers() -> None:
    frames = scene(3)
    first, again = (augment(frames, np.random.default_rng(7), least=0.4) for _ in range(2))
    assert torch.equal(first, again) and not torch.equal(first, augment(frames, np.random.default_rng(8), least=0.4))
