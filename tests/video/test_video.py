"""Sampling frames: by timestamp, upright, and exactly those that decoding everything would give."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from captioner.caption.segments import segment_frames
from captioner.errors import VideoError
from captioner.video.config import VideoConfig
from captioner.video.exif import exif_orientation
from captioner.video.frames import iter_frames, probe, resize_frame, sample_frames
from captioner.video.upright import Upright
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
    """In a process of its own: with a colour profile beside it, looking at FFmpeg's side data crashes PyAV."""
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:16, :16], pixels[24:, :32] = 255, 128  # no two of the eight orientations look alike
    photo, exif = tmp_path / f"photo.{suffix}", Image.Exif()
    exif[274] = orientation
    exact = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(photo, exif=exif, icc_profile=profile, **exact)
    with Image.open(photo) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    code = (
        "import gc, sys, numpy as np; from captioner.video.frames import iter_frames, probe\n"
        "for _ in range(3): frame = next(iter_frames(sys.argv[1], count=1)).pixels; gc.collect()\n"
        "np.save(sys.argv[2], frame); info = probe(sys.argv[1]); print(info.height, info.width)"
    )
    command = [sys.executable, "-c", code, str(photo), str(tmp_path / "frame.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    found = np.load(tmp_path / "frame.npy")
    assert found.shape == expected.shape
    assert int(np.abs(found.astype(int) - expected).max()) <= 3
    assert tuple(map(int, done.stdout.split())) == expected.shape[:2]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"", None),
        (b"\0\0\0\x20ftypisom", None),
        (b"\xff\xd8\xff", 1),
        (b"\xff\xd8\xff\xe1\0\x08Exif\0\0", 1),
        (b"\xff\xd8\xff\xe1\0\0" * 9, 1),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffeXIf", 1),
        (b"RIFF\0\0\0\0WEBPEXIF\x04\0\0\0MM", 1),
        (b"II*\0\xff\xff\xff\xff", 1),
        (b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", 6),
        (b"II*\0\x08\0\0\0\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x09\0\0\0", 1),
    ],
)
def test_broken_exif_is_no_exif(tmp_path: Path, head: bytes, found: int | None) -> None:
    (tmp_path / "file").write_bytes(head)
    assert exif_orientation(tmp_path / "file") == found


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0", b"MM\0*"]),
    st.binary(max_size=300),
)
def test_any_bytes_give_an_orientation(head: bytes, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_bytes(head + rest)
        assert exif_orientation(Path(folder) / "file") in range(1, 9)


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
