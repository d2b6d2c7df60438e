"""Sampling frames: by timestamp, upright, and exactly those that decoding everything would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.config import VideoConfig
from captioner.video import iter_frames, probe, resize_frame, sample_frames
from tests.media import frame_number, render_clip, render_image


def test_each_frame_is_the_one_shown_in_the_middle_of_its_part(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "a.mp4", frames=48, rate=24)
    frames = sample_frames(clip, VideoConfig(frames=16, size=64))
    assert [frame_number(p) for p in frames.pixels] == [3 * i + 1 for i in range(16)]
    assert frames.times_seconds == pytest.approx([(3 * i + 1) / 24 for i in range(16)])
    assert frames.pixels.shape == (16, 64, 64, 3) and frames.pixels.dtype == np.uint8
    assert (frames.duration_seconds, frames.width, frames.height) == (2.0, 64, 48)
    assert (frames.lost, frames.warnings) == (0, ())


def test_short_clips_and_stills_give_each_frame_once(tmp_path: Path) -> None:
    three = sample_frames(render_clip(tmp_path / "three.mp4", frames=3), VideoConfig(frames=16, size=32))
    assert [frame_number(p) for p in three.pixels] == [0, 1, 2]
    still = sample_frames(render_image(tmp_path / "still.png", number=9), VideoConfig(size=64))
    assert [frame_number(p) for p in still.pixels] == [9]
    assert still.times_seconds == (0.0,)


def test_probe_says_what_a_player_would_show(tmp_path: Path) -> None:
    info = probe(render_clip(tmp_path / "r.mp4", frames=24, rotation=90, audio=True))
    assert (info.width, info.height, info.rotation_degrees) == (48, 64, 90)
    assert (info.codec, info.duration_seconds, info.frames_per_second, info.has_audio) == ("h264", 1.0, 24.0, True)


def test_iter_frames_gives_native_resolution(tmp_path: Path) -> None:
    frames = list(iter_frames(render_clip(tmp_path / "a.mp4", size=(96, 64)), count=4))
    assert [f.pixels.shape for f in frames] == [(64, 96, 3)] * 4


def test_resize_shapes() -> None:
    wide = np.full((20, 80, 3), 200, np.uint8)
    for how in ("squash", "crop", "pad"):
        assert resize_frame(wide, size=40, how=how).shape == (40, 40, 3)
    padded = resize_frame(wide, size=40, how="pad")
    assert (padded[:15] == 0).all() and (padded[15:25] == 200).all() and (padded[25:] == 0).all()
