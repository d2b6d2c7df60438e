"""Pictures that are partly transparent: what cannot be seen is grey, whatever colours lie under it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from captioner.video.frames import iter_frames, sample_frames
from captioner.video.upright import BACKGROUND, on_background

SIZE = 64


def cut_out() -> np.ndarray:
    """A red square; beside it a green that is transparent, and between them a half transparent blue."""
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    rgba[:] = (0, 255, 0, 0)
    rgba[16:48, 16:32] = (255, 0, 0, 255)
    rgba[16:48, 32:48] = (0, 0, 255, 128)
    return rgba


def render(path: Path, *, codec: str, pixel_format: str) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=4, options={"auto-alt-ref": "0"} if codec == "libvpx" else {})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, pixel_format
        if path.suffix == ".webm":
            stream.metadata["alpha_mode"] = "1"
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(cut_out(), format="rgba").reformat(format=pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, 4)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def picture(path: Path, how: str) -> Path:
    if how == "png":
        path.write_bytes(encode_rgba(cut_out()))
    elif how == "palette" or how == "gif":
        image = Image.fromarray(cut_out()[..., :3]).quantize(8)
        image.save(path, transparency=image.getpixel((0, 0)))
    elif how == "webp":
        Image.fromarray(cut_out()).save(path, lossless=True, exact=True)
    else:
        first, second = Image.fromarray(cut_out()), Image.fromarray(np.roll(cut_out(), 1, axis=0))
        first.save(path, save_all=True, append_images=[second], lossless=True, exact=True, duration=100)
    return path


def encode_rgba(rgba: np.ndarray) -> bytes:
    context = av.CodecContext.create("png", "w")
    context.height, context.width, context.pix_fmt, context.time_base = SIZE, SIZE, "rgba", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def check(path: Path, *, half: bool = True) -> None:
    pixels = next(iter_frames(path, count=1)).pixels.astype(int)
    assert np.abs(pixels[4:12, 4:12] - BACKGROUND).max() <= 2
    assert np.abs(pixels[24:40, 20:28] - [255, 0, 0]).max() <= 8
    if half:
        assert np.abs(pixels[24:40, 36:44] - [63, 63, 191]).max() <= 8


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.apng", "apng", "rgba"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("vp8.webm", "libvpx", "yuva420p"),
    ],
)
def test_a_transparent_video(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    check(render(tmp_path / name, codec=codec, pixel_format=pixel_format))


@pytest.mark.parametrize("how", ["png", "palette", "gif", "webp", "animation"])
def test_a_transparent_picture(tmp_path: Path, how: str) -> None:
    suffix = {"palette": "png", "animation": "webp"}.get(how, how)
    check(picture(tmp_path / f"a.{suffix}", how), half=how not in ("palette", "gif"))


def test_where_all_is_transparent_there_is_nothing_to_see(tmp_path: Path) -> None:
    clip = tmp_path / "a.png"
    clip.write_bytes(encode_rgba(cut_out() * np.array([1, 1, 1, 0], np.uint8)))
    assert sample_frames(clip).is_blank


def test_what_is_opaque_keeps_every_bit() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert on_background(rgb, np.full((8, 8), 255, np.uint8)) is rgb
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[0, 0] = 0
    mixed = on_background(rgb, alpha)
    assert (mixed[0, 0] == BACKGROUND).all() and (mixed[1:] == rgb[1:]).all()
