"""Frame rates that a container invents, checked against the frames' times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from captioner.caption.segments import segment_frames
from captioner.video.config import VideoConfig
from captioner.video.frames import probe, sample_frames
from captioner.video.rate import FrameRate
from tests.media import render_clip, truncate

PAL: dict[str, Any] = {"codec": "dvvideo", "size": (720, 576), "rate": 25}
NTSC: dict[str, Any] = {
    "codec": "dvvideo",
    "size": (720, 480),
    "rate": Fraction(30000, 1001),
    "pixel_format": "yuv411p",
}
CLOCK: dict[str, Any] = {"rate": 1000, "times": range(0, 1000, 40)}
"""25 frames a second, of which the container says that they are a thousand."""


@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("pal.dv", PAL, 25),
        ("ntsc.dv", NTSC, 29.97),
        ("a.mkv", CLOCK, 25),
        ("a.flv", CLOCK, 25),
        ("a.ts", CLOCK, 25),
        ("a.avi", {**CLOCK, "codec": "mpeg4", "bframes": 0}, 25),
        ("a.ivf", {**CLOCK, "codec": "libvpx"}, 25),
        ("a.gif", {"codec": "gif", "rate": 100, "times": range(0, 100, 4)}, 25),
        ("slides.mkv", {"rate": 1000, "times": range(0, 50_000, 2000)}, 0.5),
        ("a.mkv", {"rate": Fraction(30000, 1001)}, 29.97),
        ("a.mp4", {"rate": 240}, 240),
    ],
)
def test_a_rate_is_checked_against_the_times(tmp_path: Path, name: str, options: dict[str, Any], rate: float) -> None:
    count = 4 if name.endswith(".dv") else 25
    clip = render_clip(tmp_path / name, frames=count, **options)
    info = probe(clip)
    assert info.frames_per_second == pytest.approx(rate, rel=1e-3)
    if name.endswith(".gif"):
        return  # says of its last picture itself how long it is shown
    assert info.duration_seconds == pytest.approx(count / rate, abs=2e-3)
    *_, (last, _) = segment_frames(clip, VideoConfig(frames=2, size=32), segments=100.0)
    assert last.end_seconds == pytest.approx(count / rate, abs=2e-3)


def test_one_frame_has_no_time_to_check(tmp_path: Path) -> None:
    info = probe(render_clip(tmp_path / "one.dv", frames=1, **PAL))
    assert (info.frames_per_second, info.duration_seconds) == (25, 0.04)


def test_frames_that_a_wrong_rate_announces_are_not_missing(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "whole.mkv", frames=100, rate=1000, times=range(0, 4000, 40))
    frames = sample_frames(truncate(clip, tmp_path / "cut.mkv", keep=0.5), VideoConfig(frames=4, size=32))
    assert 0 < frames.lost < 100  # of the 100, not of 4,000


def test_gaps_fields_and_rounding_contradict_nothing() -> None:
    announced = FrameRate.announcing(Fraction(1, 25))
    milli = Fraction(1, 1000)
    for times in (
        range(0, 4000, 40),
        [*range(0, 2000, 40), *range(90_000, 92_000, 40)],  # a pause
        range(0, 2000, 20),  # fields, each with its own packet
        [round(n * 1000 / 25.3) for n in range(50)],
        [7],
        [],
    ):
        assert announced.check(list(times), tick_seconds=milli) == announced
    assert announced.check(range(0, 900, 90), tick_seconds=milli).average == Fraction(9, 100)
    assert announced.check(range(0, 500, 5), tick_seconds=milli).average == Fraction(1, 200)
