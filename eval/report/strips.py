"""A strip of a clip's frames, as one small JPEG inside the page; made from the file when the report is written."""

from __future__ import annotations

import base64

import av
import numpy as np

from captioner.errors import CaptionerError, VideoError
from captioner.manifest import Clip
from captioner.video.config import VideoConfig
from captioner.video.frames import SampledFrame, iter_frames

FRAMES = 8
TILE_WIDTH = 120
TALLEST, LOWEST = 200, 48
"""Of a tile: a portrait film, and a very wide one, are squeezed rather than cut."""


def strip(clip: Clip, video: VideoConfig, *, frames: int = FRAMES) -> str:
    """``data:`` URI of a JPEG of the frames that the model saw, at most ``frames`` of them side by side.

    Tile k of K shows frame (k + 1/2) T / K of T, so that it stands over its own cells of the attention. Raises
    VideoError where the file can no longer be read.
    """
    if clip.path is None:
        raise VideoError("not_found", "the manifest names no file for this clip")
    reader = iter_frames(
        clip.path,
        count=video.frames,
        mode=video.mode,
        start_seconds=clip.start_seconds,
        end_seconds=clip.end_seconds,
    )
    tiles: list[np.ndarray] = []
    size: tuple[int, int] | None = None
    for frame in reader:
        size = size or _tile_size(frame)
        tiles.append(_scaled(frame.pixels, *size))
    shown = min(frames, len(tiles))
    chosen = [tiles[int((k + 0.5) * len(tiles) / shown)] for k in range(shown)]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(np.concatenate(chosen, axis=1))).decode("ascii")


def try_strip(clip: Clip, video: VideoConfig) -> tuple[str | None, str]:
    """The strip, or None and why there is none."""
    try:
        return strip(clip, video), ""
    except CaptionerError as error:
        return None, str(error)


def jpeg(rgb: np.ndarray) -> bytes:
    """``rgb`` (height, width, 3) uint8 as a JPEG file."""
    height, width = rgb.shape[:2]
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base = 1  # of a single picture
    codec.options = {"qmin": "4", "qmax": "4"}
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="yuvj420p")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in (*codec.encode(picture), *codec.encode(None)))


def _tile_size(frame: SampledFrame) -> tuple[int, int]:
    width, height = frame.size_shown
    return TILE_WIDTH, int(np.clip(round(TILE_WIDTH * height / width / 2) * 2, LOWEST, TALLEST))


def _scaled(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray()
