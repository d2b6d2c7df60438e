"""The frames of spans of unknown length: never more than a fixed number is kept, and those chosen lie well."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from captioner.video.config import VideoConfig
from captioner.video.layout import Layout
from captioner.video.reservoir import Reservoir
from captioner.video.upright import Upright
from tests.media import frame_number, frame_pixels

VIDEO = VideoConfig(frames=4, size=48)


def numbered(number: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(frame_pixels(number, size), format="rgb24")


def filled(count: int, *, size: tuple[int, int] = (64, 48), rate: int = 24) -> Reservoir:
    reservoir = Reservoir(VIDEO, upright=Upright(), layout=Layout())
    for number in range(count):
        reservoir.add(Fraction(number, rate), numbered(number, size))
        reservoir.settle(Fraction(number, rate))
        assert len(reservoir._kept) <= 32 and len(reservoir._pending) <= 1
    return reservoir


def test_few_frames_are_all_there() -> None:
    chosen = filled(32).take(Fraction(0), Fraction(32, 24), carry=False)
    assert [frame_number(p) for p in chosen.pixels] == [4, 12, 20, 28]
    assert (chosen.width, chosen.height) == (64, 48)


@pytest.mark.parametrize("count", [33, 100, 333, 2000])
def test_many_frames_are_thinned_evenly(count: int) -> None:
    chosen = filled(count).take(Fraction(0), Fraction(count, 24), carry=False)
    wanted = [count * (2 * i + 1) / 8 for i in range(4)]
    assert [frame_number(p) for p in chosen.pixels] == pytest.approx(wanted, abs=count / 4 / 4 + 1)


def test_large_frames_are_kept_small() -> None:
    reservoir = filled(24, size=(960, 640))
    assert all(isinstance(c.picture, np.ndarray) and c.picture.shape == (48, 48, 3) for c in reservoir._kept)
    assert len(reservoir._kept) <= 16
    chosen = reservoir.take(Fraction(0), Fraction(1), carry=False)
    assert [frame_number(p) for p in chosen.pixels] == pytest.approx([3, 9, 15, 21], abs=2)
    assert (chosen.width, chosen.height) == (960, 640)


@pytest.mark.parametrize(("carry", "first"), [(False, 8), (True, 7)])
def test_the_next_span_begins_with_its_own_frames_or_with_what_is_still_shown(carry: bool, first: int) -> None:
    reservoir = filled(9)
    end = Fraction(15, 48)  # between frames 7 and 8
    before = reservoir.take(Fraction(0), end, carry=carry)
    assert frame_number(before.pixels[-1]) == 6
    after = reservoir.take(end, Fraction(9, 24), carry=carry)
    assert frame_number(after.pixels[0]) == first and frame_number(after.pixels[-1]) == 8


def test_a_span_without_a_frame_of_its_own_gets_the_newest() -> None:
    reservoir = filled(10)
    reservoir.take(Fraction(0), Fraction(10, 24), carry=False)
    assert [frame_number(p) for p in reservoir.take(Fraction(10, 24), Fraction(1), carry=False).pixels] == [9]
