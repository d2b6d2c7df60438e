"""Clips that show nothing get a caption like any other, but no confidence, and it is said."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from captioner import Captioner
from captioner.caption.segments import segment_frames
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from captioner.video.visibility import shows_something
from data.__main__ import main as data
from tests.media import render_clip


def bars(height: int, width: int) -> np.ndarray:
    colours = [(192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192)]
    return np.repeat(np.array(colours, np.uint8), -(-width // 7), axis=0)[None, :width].repeat(height, axis=0)


def blank(kind: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    plain = {"black": (0, 0, 0), "white": (255, 255, 255), "red": (255, 0, 0), "grey": (128, 128, 128)}
    if kind in plain:
        return [np.full((120, 160, 3), plain[kind], np.uint8)] * 24
    if kind == "noise":
        return [rng.integers(256, size=(120, 160, 3), dtype=np.uint8) for _ in range(24)]
    if kind == "fading":
        return [np.full((120, 160, 3), 10 * i, np.uint8) for i in range(24)]
    return [bars(120, 160)] * 24


@pytest.mark.parametrize("kind", ["black", "white", "red", "grey", "noise", "fading", "bars"])
def test_nothing_to_see_is_no_confidence(tmp_path: Path, kind: str) -> None:
    clip = render_clip(tmp_path / "clip.mp4", images=blank(kind), size=(160, 120))
    captioner = Captioner.load()
    caption = captioner.caption(clip)
    assert caption.confidence < 0.05 and any("nothing to see" in warning for warning in caption.warnings)
    spoken = caption.text.split()
    assert all(a != b for a, b in itertools.pairwise(spoken)), caption.text
    assert all(frames.is_blank for _, frames in segment_frames(clip, VideoConfig(size=96), segments=0.5))
    [part, *_] = captioner.caption_segments(clip, segments="shots")
    assert part.confidence < 0.05


def test_pictures_and_drawings_show_something(tmp_path: Path) -> None:
    assert data(["shapes", "--out", str(tmp_path / "shapes"), "--train", "0", "--val", "0", "--test", "12"]) == 0
    for clip in (tmp_path / "shapes" / "clips").glob("*.mp4"):
        for size in (160, 256):
            assert not sample_frames(clip, VideoConfig(size=size)).is_blank, clip
    assert not sample_frames(render_clip(tmp_path / "a.mp4", size=(320, 240)), VideoConfig(size=160)).is_blank


def test_one_frame_that_shows_something_is_enough() -> None:
    rng = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(rng.integers(256, size=(1, 8, 8, 3), dtype=np.uint8), 16, axis=1), 16, axis=2)
    assert shows_something(smooth) and not shows_something(np.zeros_like(smooth))
    assert shows_something(np.concatenate([np.zeros_like(smooth), smooth]))


@pytest.mark.parametrize("folder", ["clips", "msvd/clips"])
def test_no_real_clip_is_blank(shared: Path, folder: str) -> None:
    for clip in sorted((shared / folder).iterdir())[::20]:
        assert not sample_frames(clip, VideoConfig(size=160, frames=4)).is_blank, clip
