"""Sampling frames: by timestamp, upright, and exactly those that decoding everything would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from captioner.config import VideoConfig
from captioner.errors import VideoError
from captioner.segments import segment_frames
from captioner.video import Upright, iter_frames, probe, resize_frame, sample_frames
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


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_as_its_exif_orientation_says(tmp_path: Path, suffix: str, orientation: int) -> None:
    """FFmpeg attaches the EXIF block as side data of a type that PyAV has no name for."""
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:16, :16], pixels[24:, :32] = 255, 128  # no two of the eight orientations look alike
    photo, exif = tmp_path / f"photo.{suffix}", Image.Exif()
    exif[274] = orientation
    exact = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(pixels).save(photo, exif=exif, **exact)
    with Image.open(photo) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    found = next(iter_frames(photo, count=1)).pixels
    assert found.shape == expected.shape
    assert int(np.abs(found.astype(int) - expected).max()) <= 3
    info = probe(photo)
    assert (info.height, info.width) == expected.shape[:2]


def test_what_a_library_raises_is_the_files_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = render_clip(tmp_path / "a.mp4", frames=24)

    def surprise(self: object, *arguments: object) -> None:
        raise ValueError("99 is not a valid Type")

    monkeypatch.setattr(Upright, "__call__", surprise)
    for attempt in (
        lambda: sample_frames(clip, VideoConfig(size=32)),
        lambda: list(segment_frames(clip, VideoConfig(size=32), segments="shots")),
        lambda: probe(clip),
    ):
        with pytest.raises(VideoError, match=r"a\.mp4 cannot be decoded \(ValueError: 99 is not") as caught:
            attempt()
        assert caught.value.code == "damaged"
