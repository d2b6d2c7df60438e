"""Media rendered by the tests themselves, so that a clone needs no sample files.

Every frame says which one it is: see :func:`frame_pixels` and :func:`frame_number`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS = 12


def frame_pixels(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Frame ``number`` as uint8 RGB (height, width, 3): its number as a bar code over a moving gradient.

    The upper half holds ``number`` in binary as twelve black or white columns, which survive a lossy codec
    (:func:`frame_number` reads them back); the lower half moves, so that no two frames are alike.
    """
    width, height = size
    x, y = np.arange(width), np.arange(height)[:, None]
    red = (x * 3 + number * 5 + 0 * y) % 256
    green = (y * 4 + number * 3 + 0 * x) % 256
    blue = (x + y + number * 2) % 256
    pixels = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    pixels[: height // 2] = (255 * (number >> (x * BITS // width) & 1)).astype(np.uint8)[None, :, None]
    return pixels


def frame_number(pixels: np.ndarray) -> int:
    """The number that :func:`frame_pixels` wrote, read back from a decoded (and perhaps resized) frame."""
    height, width = pixels.shape[:2]
    row = pixels[height // 8 : height * 3 // 8].mean(axis=(0, 2))
    centres = [int((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(int(row[centre] > 128) << bit for bit, centre in enumerate(centres))


def render_clip(
    path: str | Path,
    *,
    frames: int = 48,
    size: tuple[int, int] = (64, 48),
    rate: int | Fraction = 24,
    codec: str = "libx264",
    gop: int = 12,
    bframes: int = 2,
    rotation: int = 0,
    audio: bool = False,
    start: int = 0,
    times: Iterable[int] | None = None,
    format: str | None = None,
    pixel_format: str | None = None,
    codec_options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    images: Iterable[np.ndarray] | None = None,
) -> Path:
    """Encode a clip and return its path; the container follows from the suffix unless ``format`` names one.

    ``start`` shifts all timestamps by that many frames; ``times`` gives each frame's own timestamp, in frames of
    ``rate`` (a variable frame rate); ``rotation`` (degrees, counter-clockwise) is what a player applies on showing.
    ``images`` replaces the numbered frames by other uint8 RGB pictures of ``size``.
    """
    path = Path(path)
    pictures = images if images is not None else (frame_pixels(n, size) for n in range(frames))
    stamps = iter(times) if times is not None else iter(range(1 << 30))
    with av.open(str(path), "w", format=format, options=dict(container_options or {})) as out:
        stream = _video_stream(out, codec, rate, size, gop, bframes, pixel_format, codec_options)
        if rotation:
            stream.set_display_rotation(rotation)
        sound = _audio_stream(out) if audio else None
        count = 0
        for pixels in pictures:
            count += 1
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = start + next(stamps)
            frame.time_base = 1 / Fraction(rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            _write_tone(out, sound, seconds=float(count / Fraction(rate)))
    return path


def _video_stream(
    out: Any,
    codec: str,
    rate: int | Fraction,
    size: tuple[int, int],
    gop: int,
    bframes: int,
    pixel_format: str | None,
    codec_options: Mapping[str, str] | None,
) -> Any:
    formats = {"gif": "rgb8", "mjpeg": "yuvj420p", "png": "rgb24", "ffv1": "yuv420p", "libwebp_anim": "yuv420p"}
    options = {
        "libx264": {"preset": "ultrafast", "bf": str(bframes), "x264-params": "scenecut=0:threads=1"},
        "libx265": {"preset": "ultrafast", "x265-params": f"log-level=none:bframes={bframes}:scenecut=0:pools=1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
        "libvpx": {"deadline": "realtime", "cpu-used": "8"},
        "libsvtav1": {"preset": "12"},
    }.get(codec, {"bf": str(bframes)} if codec in ("mpeg4", "mpeg2video") else {})
    stream = out.add_stream(codec, rate=rate, options={**options, **(codec_options or {})})
    stream.width, stream.height = size
    stream.pix_fmt = pixel_format or formats.get(codec, "yuv420p")
    stream.codec_context.time_base = 1 / Fraction(rate)
    stream.codec_context.gop_size = gop
    if codec in ("mpeg4", "mpeg2video", "mjpeg"):
        stream.codec_context.bit_rate = 2_000_000
    return stream


def _audio_stream(out: Any) -> Any:
    codec = {"matroska": "libopus", "webm": "libopus", "avi": "mp3"}.get(out.format.name, "aac")
    return out.add_stream(codec, rate=48000, layout="mono")


def _write_tone(out: Any, stream: Any, *, seconds: float) -> None:
    samples = np.arange(int(48000 * seconds))
    tone = (8000 * np.sin(samples * (2 * np.pi * 440 / 48000))).astype(np.int16)
    for first in range(0, len(tone), 960):
        frame = av.AudioFrame.from_ndarray(tone[None, first : first + 960], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, first, Fraction(1, 48000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def render_image(path: str | Path, *, number: int = 5, size: tuple[int, int] = (64, 48)) -> Path:
    """Write frame ``number`` as a still; the suffix (.png, .jpg, .webp, .bmp, .tiff, .gif) chooses the format."""
    path = Path(path)
    codec, pixel_format = {
        ".png": ("png", "rgb24"),
        ".jpg": ("mjpeg", "yuvj420p"),
        ".jpeg": ("mjpeg", "yuvj420p"),
        ".webp": ("libwebp", "yuv420p"),
        ".bmp": ("bmp", "bgr24"),
        ".tiff": ("tiff", "rgb24"),
        ".gif": ("gif", "rgb8"),
    }[path.suffix.lower()]
    path.write_bytes(encode_image(frame_pixels(number, size), codec=codec, pixel_format=pixel_format))
    return path


def encode_image(pixels: np.ndarray, *, codec: str = "png", pixel_format: str = "rgb24") -> bytes:
    """One uint8 RGB picture as the bytes of an image file."""
    if codec == "gif":  # needs the muxer's file header
        import io

        buffer = io.BytesIO()
        with av.open(buffer, "w", format="gif") as out:
            stream = _video_stream(out, "gif", 10, (pixels.shape[1], pixels.shape[0]), 1, 0, pixel_format, None)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            out.mux(stream.encode(None))
        return buffer.getvalue()
    context = av.CodecContext.create(codec, "w")
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt, context.time_base = pixel_format, Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(format=pixel_format)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def render_audio_only(path: str | Path, *, seconds: float = 1.0) -> Path:
    """A tone without any picture (.m4a, .mp4, .mkv, .mp3, .wav by suffix)."""
    path = Path(path)
    codec = {".mp3": "mp3", ".wav": "pcm_s16le", ".mkv": "libopus", ".ogg": "libopus", ".flac": "flac"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec.get(path.suffix, "aac"), rate=48000, layout="mono")
        _write_tone(out, stream, seconds=seconds)
    return path


def render_text(path: str | Path, text: str = "This is not a video.\n" * 40) -> Path:
    """A text file, whatever its name says."""
    path = Path(path)
    path.write_text(text, encoding="utf-8")
    return path


def truncate(path: str | Path, to: str | Path, *, keep: float) -> Path:
    """The first ``keep`` (0 to 1) of the bytes of ``path``, written to ``to``."""
    data = Path(path).read_bytes()
    to = Path(to)
    to.write_bytes(data[: int(len(data) * keep)])
    return to
