"""Two views in one picture, as Matroska and MP4 tag them: one is shown, in its own shape."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from captioner.caption.segments import segment_frames
from captioner.video.config import VideoConfig
from captioner.video.frames import iter_frames, probe
from captioner.video.layout import mp4_stereo_mode
from tests.media import frame_number, frame_pixels

LEFT, RIGHT = 5, 1000
"""The numbers that the two views show."""


def packed(mode: str, *, size: tuple[int, int]) -> np.ndarray:
    """Both views, each of ``size``, in one picture."""
    left, right = frame_pixels(LEFT, size), frame_pixels(RIGHT, size)
    first, second = (right, left) if mode in ("right_left", "bottom_top") or mode.endswith("_rl") else (left, right)
    axis = 1 if mode.startswith(("left", "right", "col")) else 0
    if "interleaved" in mode:
        return np.stack([first, second], axis=axis + 1).reshape(
            *(n * (1 + (a == axis)) for a, n in enumerate(first.shape))
        )
    return np.concatenate([first, second], axis=axis)


def render(path: Path, pixels: np.ndarray, *, mode: str = "", aspect: Fraction | None = None) -> Path:
    with av.open(str(path), "w") as out:
        codec = "ffv1" if path.suffix == ".mkv" else "libx264"
        stream = out.add_stream(codec, rate=4)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv444p"
        if mode:
            stream.metadata["stereo_mode"] = mode
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 4)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def tag(path: Path, added: bytes) -> Path:
    """Put a box into the sample entry of an MP4 file whose index comes last."""
    data = bytearray(path.read_bytes())
    place = data.index(b"avcC") - 4
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        start = data.index(kind, data.index(b"moov")) - 4
        data[start : start + 4] = (int.from_bytes(data[start : start + 4], "big") + len(added)).to_bytes(4, "big")
    data[place:place] = added
    path.write_bytes(data)
    return path


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def st3d(mode: int) -> bytes:
    return box(b"st3d", bytes([0, 0, 0, 0, mode]))


def shown(path: Path) -> tuple[int, tuple[int, int]]:
    """The number that is seen, and the size that is said, by every way of reading."""
    frames = list(iter_frames(path, count=2))
    [(_, part)] = segment_frames(path, VideoConfig(frames=1, size=48), segments=10.0)
    info = probe(path)
    assert (info.width, info.height) == (part.width, part.height) == frames[0].size_shown
    numbers = {frame_number(frame.pixels) for frame in frames} | {frame_number(part.pixels[0])}
    assert len(numbers) == 1
    return numbers.pop(), frames[0].size_shown


@pytest.mark.parametrize(
    ("mode", "size", "whole"),
    [
        ("left_right", (48, 64), (96, 64)),  # squeezed: each view is shown as wide as the picture
        ("right_left", (48, 64), (96, 64)),
        ("left_right", (96, 54), (96, 54)),  # in full
        ("left_right", (64, 64), (64, 64)),  # half a sphere for each eye
        ("top_bottom", (96, 32), (48, 32)),
        ("bottom_top", (96, 32), (48, 32)),
        ("top_bottom", (96, 54), (96, 54)),
        ("row_interleaved_lr", (96, 32), (48, 32)),
        ("row_interleaved_rl", (96, 32), (48, 32)),
        ("col_interleaved_lr", (48, 64), (96, 64)),
    ],
)
def test_one_eye_of_a_tagged_matroska_file(
    tmp_path: Path, mode: str, size: tuple[int, int], whole: tuple[int, int]
) -> None:
    clip = render(tmp_path / "a.mkv", packed(mode, size=size), mode=mode)
    assert shown(clip) == (LEFT, whole)


def test_the_shape_that_the_file_gives_counts(tmp_path: Path) -> None:
    clip = render(tmp_path / "a.mkv", packed("left_right", size=(48, 64)), mode="left_right", aspect=Fraction(2))
    assert shown(clip) == (LEFT, (96, 64))


@pytest.mark.parametrize(
    ("added", "mode"),
    [
        (st3d(1), "top_bottom"),
        (st3d(2), "left_right"),
        (st3d(4), "right_left"),
        (box(b"uuid", bytes(16) + b"<GSpherical:StereoMode>left-right</GSpherical:StereoMode>"), "left_right"),
        (box(b"pkin", b"\0\0\0\0over"), "top_bottom"),
    ],
)
def test_one_eye_of_a_tagged_mp4_file(tmp_path: Path, added: bytes, mode: str) -> None:
    clip = tag(render(tmp_path / "a.mp4", packed(mode, size=(96, 54))), added)
    assert shown(clip) == (LEFT, (96, 54))


@pytest.mark.parametrize("mode", ["", "mono", "block_lr", "anaglyph_cyan_red"])
def test_other_pictures_are_shown_whole(tmp_path: Path, mode: str) -> None:
    assert shown(render(tmp_path / "a.mkv", frame_pixels(LEFT, (96, 54)), mode=mode)) == (LEFT, (96, 54))


def test_hostile_boxes_name_no_mode() -> None:
    for index in (b"", b"st3d", st3d(0), st3d(3), st3d(9), b"StereoMode>mono", box(b"pkin", b"\0\0\0\0none")):
        assert mp4_stereo_mode(index) is None
