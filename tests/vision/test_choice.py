"""Frames that equal the one before are found."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.vision.choice import NOISE, distinct_frames


def slowly(pixels: np.ndarray) -> tuple[list[int], list[int]]:
    """What ``distinct_frames`` gives, one block and one colour at a time."""
    kept: list[int] = []
    places: list[int] = []
    size = max(1, pixels.shape[1] // 32)
    for number, frame in enumerate(pixels.astype(float)):
        differs = not kept
        for top in range(0, frame.shape[0], size):
            for left in range(0, frame.shape[1], size):
                block = (slice(top, top + size), slice(left, left + size))
                for colour in range(3):
                    before = pixels[kept[-1]][block][..., colour].mean() if kept else 0.0
                    differs = differs or bool(abs(frame[block][..., colour].mean() - before) > NOISE)
        if differs:
            kept.append(number)
        places.append(len(kept) - 1)
    return kept, places


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_distinct_frames_are_those_of_the_obvious_way(data: st.DataObject) -> None:
    seed, count = data.draw(st.integers(0, 999)), data.draw(st.integers(1, 6))
    height, width = data.draw(st.sampled_from(((9, 7), (64, 6))))
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 256, (height, width, 3))]
    for _ in range(count - 1):
        change = data.draw(st.sampled_from(("none", "noise", "brighter", "elsewhere")))
        frame = frames[-1].copy()
        if change == "noise":
            frame += rng.integers(-5, 6, frame.shape)
        elif change == "brighter":
            frame += 1
        elif change == "elsewhere":
            frame[height // 2 : height // 2 + 2, :2] = rng.integers(0, 256, 3)
        frames.append(frame.clip(0, 255))
    pixels = np.stack(frames).astype(np.uint8)
    kept, places = distinct_frames(pixels)
    assert (kept.tolist(), places.tolist()) == slowly(pixels)


def test_a_slow_change_adds_up() -> None:
    """Each frame equals the one before within noise, but not the last whose features were computed."""
    fade = np.stack([np.full((64, 64, 3), 40 + step, np.uint8) for step in range(12)])
    kept, places = distinct_frames(fade)
    assert NOISE > 1 and 1 < len(kept) < 12 and places.tolist() == sorted(places.tolist())


def test_a_size_that_no_block_divides() -> None:
    pixels = np.zeros((2, 70, 70, 3), np.uint8)
    pixels[1, 69:, 69:] = 255  # in the last block alone
    assert distinct_frames(pixels)[0].tolist() == [0, 1]
    assert distinct_frames(pixels[:0])[0].tolist() == []
