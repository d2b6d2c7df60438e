"""From a file to the frames that the network looks at, and to what `captioner probe` says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from captioner.config import VideoConfig
from captioner.container import Deadline, check_file, open_video
from captioner.errors import VideoError
from captioner.sampling import Losses, decoded, linear, measure, target_times


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The frames of a clip as the network gets them."""

    pixels: np.ndarray
    """(T, S, S, 3) uint8 RGB, each distinct frame once: T is at most the frames asked for."""
    times_seconds: tuple[float, ...]
    """When each frame is first shown, from the start of the file's video."""
    duration_seconds: float | None
    width: int
    height: int
    lost: int
    """Frames or packets that could not be decoded."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SampledFrame:
    """One frame at its native resolution, upright."""

    time_seconds: float
    pixels: np.ndarray
    """(height, width, 3) uint8 RGB, rotated as a player would."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file says of its picture, as a player would show it."""

    path: str
    container: str
    codec: str
    width: int
    height: int
    rotation_degrees: int
    """Applied by the player, counter-clockwise; width and height are those after it."""
    frames_per_second: float | None
    duration_seconds: float | None
    size_bytes: int
    has_audio: bool


class FrameReader:
    """An iterator over sampled frames that also tells, as it goes, what it knows of the clip."""

    def __init__(self, frames: Iterator[SampledFrame], losses: Losses) -> None:
        self._frames = frames
        self._losses = losses
        self.duration_seconds: float | None = None

    @property
    def lost(self) -> int:
        return self._losses.lost

    def __iter__(self) -> Iterator[SampledFrame]:
        return self

    def __next__(self) -> SampledFrame:
        return next(self._frames)


def sample_frames(
    path: str | os.PathLike[str],
    config: VideoConfig = VideoConfig(),  # noqa: B008
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    timeout_seconds: float | None = 60.0,
) -> Frames:
    """The clip's frames by the recipe in ``config``; raises VideoError, or ConfigError on a bad start or end."""
    reader = iter_frames(
        path,
        count=config.frames,
        mode=config.mode,
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        timeout_seconds=timeout_seconds,
    )
    pixels: list[np.ndarray] = []
    times: list[float] = []
    width = height = 0
    for frame in reader:
        if not pixels:
            height, width = frame.pixels.shape[:2]
        pixels.append(resize_frame(frame.pixels, size=config.size, how=config.resize))
        times.append(frame.time_seconds)
    lost = reader.lost
    warnings = (f"{lost} {'frame' if lost == 1 else 'frames'} could not be decoded",) if lost else ()
    return Frames(
        pixels=np.stack(pixels),
        times_seconds=tuple(times),
        duration_seconds=reader.duration_seconds,
        width=width,
        height=height,
        lost=lost,
        warnings=warnings,
    )


def iter_frames(
    path: str | os.PathLike[str],
    *,
    count: int,
    mode: Literal["exact", "segment"] = "exact",
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    timeout_seconds: float | None = 60.0,
) -> FrameReader:
    """At most ``count`` sampled frames, in order, at native resolution and one at a time (bounded memory)."""
    losses = Losses()

    def frames() -> Iterator[SampledFrame]:
        file = check_file(path)
        deadline = Deadline(file, timeout_seconds)
        with open_video(file, deadline) as (container, stream):
            timeline = measure(container, stream, deadline)
        reader.duration_seconds = float(timeline.duration) or None
        targets = target_times(timeline, count=count, start=start_seconds, end=end_seconds)
        found = False
        with open_video(file, deadline) as (container, stream):
            for seconds, frame in linear(container, stream, timeline, targets, losses, deadline):
                found = True
                yield SampledFrame(time_seconds=float(seconds), pixels=upright(frame))
        if not found:
            raise VideoError("damaged", f"not one frame of {file} could be decoded")

    reader = FrameReader(frames(), losses)
    return reader


def upright(frame: Any) -> np.ndarray:
    """A decoded frame as (height, width, 3) uint8 RGB, rotated as a player would."""
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90 % 4)


def probe(path: str | os.PathLike[str], *, timeout_seconds: float | None = 60.0) -> VideoInfo:
    """What the file is, by decoding one frame of it; raises VideoError."""
    file = check_file(path)
    deadline = Deadline(file, timeout_seconds)
    with open_video(file, deadline) as (container, stream):
        timeline = measure(container, stream, deadline)
    with open_video(file, deadline) as (container, stream):
        frame = next(decoded(container, stream, Losses(), deadline), None)
        if frame is None:
            raise VideoError("damaged", f"not one frame of {file} could be decoded")
        rate = stream.average_rate
        pixels = upright(frame)
        return VideoInfo(
            path=str(file),
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width=pixels.shape[1],
            height=pixels.shape[0],
            rotation_degrees=frame.rotation % 360,
            frames_per_second=float(rate) if rate else None,
            duration_seconds=float(timeline.duration) or None,
            size_bytes=file.stat().st_size,
            has_audio=bool(container.streams.audio),
        )


def resize_frame(rgb: np.ndarray, *, size: int, how: Literal["squash", "crop", "pad"]) -> np.ndarray:
    """``rgb`` (height, width, 3) uint8 as a (size, size, 3) square, with torch's antialiased uint8 scaler.

    ``squash`` ignores the aspect ratio, ``crop`` cuts the longer side, ``pad`` adds black bars.
    """
    height, width = rgb.shape[:2]
    if how == "squash":
        return _scale(rgb, size, size)
    if how == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return _scale(rgb[top : top + side, left : left + side], size, size)
    longer = max(height, width)
    inner = _scale(rgb, max(1, round(height * size / longer)), max(1, round(width * size / longer)))
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
    square[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return square


def _scale(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    import torch

    if rgb.shape[:2] == (height, width):
        return np.ascontiguousarray(rgb)
    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None]  # channels last, as swscale left it
    scaled = torch.nn.functional.interpolate(
        picture, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )
    return scaled[0].permute(1, 2, 0).contiguous().numpy()
