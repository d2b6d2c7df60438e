"""Samples the frames of a video file for the network, and probes a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from captioner.errors import VideoError
from captioner.video.animation import animation_frames, animation_timeline, is_animated_webp
from captioner.video.config import Mode, Resize, VideoConfig
from captioner.video.container import (
    Deadline,
    check_file,
    is_still,
    open_video,
    surprises_are_failures,
    why_undecodable,
)
from captioner.video.sampling import Report, select
from captioner.video.scaling import scale as scale_without_torch
from captioner.video.selection import Selection
from captioner.video.upright import SampledFrame, Upright
from captioner.video.visibility import shows_something


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The frames of a clip as the network gets them."""

    pixels: np.ndarray
    """(T, S, S, 3) uint8 RGB, each distinct frame once: T is at most the number of frames asked for."""
    times_seconds: tuple[float, ...]
    """When each frame is shown, from the start of the file, as players count (sound may begin before the video)."""
    duration_seconds: float | None
    """From the start of the file to the end of its video."""
    width: int
    """As a player shows it: rotated, and with square pixels."""
    height: int
    lost: int
    """Frames or packets that could not be decoded."""
    warnings: tuple[str, ...]
    is_blank: bool = False
    """Whether there is nothing to see: frames of one colour, stripes or noise."""

    @classmethod
    def made(cls, pixels: np.ndarray) -> Frames:
        """Frames (T, S, S, 3) uint8 that come from no file, a second each."""
        count, height, width = pixels.shape[:3]
        times, duration = tuple(map(float, range(count))), float(count)
        return cls(
            pixels=pixels,
            times_seconds=times,
            duration_seconds=duration,
            width=width,
            height=height,
            lost=0,
            warnings=(),
        )


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file says of its video, as a player would show it."""

    path: str
    container: str
    codec: str
    width: int
    height: int
    rotation_degrees: int
    """By which a player turns the stored picture counter-clockwise; width and height are those after it."""
    frames_per_second: float | None
    duration_seconds: float | None
    size_bytes: int
    has_audio: bool


def sample_frames(
    path: str | os.PathLike[str],
    config: VideoConfig = VideoConfig(),  # noqa: B008 - frozen
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    timeout_seconds: float | None = 60.0,
) -> Frames:
    """The frames of a clip, or of its part from start to end, by the recipe in ``config``.

    Raises VideoError for a file that cannot be captioned, and ConfigError for a start or end outside the clip.
    """
    report, selection = Report(), Selection(config.frames, start_seconds, end_seconds)
    pixels: list[np.ndarray] = []
    times: list[float] = []
    width = height = 0
    for frame in _frames(path, selection, config.mode, timeout_seconds, report):
        if not pixels:
            width, height = frame.size_shown
        pixels.append(resize_frame(frame.pixels, size=config.size, how=config.resize, pixel_aspect=frame.pixel_aspect))
        times.append(frame.time_seconds)
    stacked = np.stack(pixels)
    return Frames(
        pixels=stacked,
        is_blank=not shows_something(stacked),
        times_seconds=tuple(times),
        duration_seconds=report.duration_seconds,
        width=width,
        height=height,
        lost=report.lost,
        warnings=report.warnings,
    )


def iter_frames(
    path: str | os.PathLike[str],
    *,
    count: int,
    mode: Mode = "exact",
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    timeout_seconds: float | None = 60.0,
) -> Iterator[SampledFrame]:
    """The sampled frames one by one, in order and as large as they are; memory does not grow with the clip.

    Nothing is opened before the first frame is asked for; errors are those of ``sample_frames``.
    """
    return _frames(path, Selection(count, start_seconds, end_seconds), mode, timeout_seconds, Report())


def _frames(
    path: str | os.PathLike[str], selection: Selection, mode: Mode, timeout_seconds: float | None, report: Report
) -> Iterator[SampledFrame]:
    file = check_file(path)
    deadline = Deadline(file, timeout_seconds)
    found, upright = False, Upright(file)
    with surprises_are_failures(path):
        if is_animated_webp(file):
            timeline, starts = animation_timeline(file, deadline)
            report.start(timeline)
            for seconds, pixels in animation_frames(file, timeline, starts, selection, deadline):
                yield SampledFrame(time_seconds=float(seconds), pixels=pixels, pixel_aspect=1.0)
            return
        for seconds, frame in select(file, selection, stand_ins=mode == "segment", deadline=deadline, report=report):
            found = True
            yield upright(seconds + report.lead, frame, report.layout)
    if not found:
        raise _nothing(file)


def _nothing(file: Path) -> VideoError:
    return why_undecodable(file, f"not one frame of {file} can be decoded")


def probe(path: str | os.PathLike[str], *, timeout_seconds: float | None = 60.0) -> VideoInfo:
    """What the file is, by decoding one frame of it; raises VideoError as ``sample_frames`` does."""
    with surprises_are_failures(path):
        return _probe(check_file(path), timeout_seconds)


def _probe(file: Path, timeout_seconds: float | None) -> VideoInfo:
    deadline = Deadline(file, timeout_seconds)
    if is_animated_webp(file):
        return _probe_animation(file, deadline)
    report = Report()
    _, frame = next(select(file, Selection(1), stand_ins=True, deadline=deadline, report=report), (None, None))
    if frame is None:
        raise _nothing(file)
    upright = Upright(file)
    width, height = upright(Fraction(0), frame, report.layout).size_shown
    with open_video(file, deadline) as (container, stream):
        timeline = None if is_still(container) else report.timeline
        return VideoInfo(
            path=str(file),
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            rotation_degrees=upright.degrees(frame),
            frames_per_second=float(1 / timeline.frame_seconds) if timeline else None,
            duration_seconds=report.duration_seconds,
            size_bytes=file.stat().st_size,
            has_audio=bool(container.streams.audio),
        )


def _probe_animation(file: Path, deadline: Deadline) -> VideoInfo:
    timeline, starts = animation_timeline(file, deadline)
    _, pixels = next(animation_frames(file, timeline, starts, Selection(1), deadline))
    return VideoInfo(
        path=str(file),
        container="webp",
        codec="webp",
        width=pixels.shape[1],
        height=pixels.shape[0],
        rotation_degrees=0,
        frames_per_second=float(1 / timeline.frame_seconds),
        duration_seconds=float(timeline.duration),
        size_bytes=file.stat().st_size,
        has_audio=False,
    )


def resize_frame(rgb: np.ndarray, *, size: int, how: Resize, pixel_aspect: float = 1.0) -> np.ndarray:
    """``rgb`` (height, width, 3) uint8 as a square (size, size, 3), by torch's antialiased bilinear scaler.

    ``squash`` ignores the shape of the picture, ``crop`` cuts its longer side, ``pad`` adds black bars.
    ``pixel_aspect`` is the width of a pixel of ``rgb`` over its height.
    """
    height, width = rgb.shape[:2]
    ratio = width * pixel_aspect / height  # of the picture as it is shown
    if how == "squash":
        return scale(rgb, size, size)
    if how == "crop":
        rows = min(height, max(1, round(height * ratio)))
        columns = min(width, max(1, round(width / ratio)))
        top, left = (height - rows) // 2, (width - columns) // 2
        return scale(rgb[top : top + rows, left : left + columns], size, size)
    rows = min(size, max(1, round(size / ratio)))
    columns = min(size, max(1, round(size * ratio)))
    top, left = (size - rows) // 2, (size - columns) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top : top + rows, left : left + columns] = scale(rgb, rows, columns)
    return square


def scale(rgb: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """``rgb`` (height, width, 3) uint8 as (rows, columns, 3), by torch's antialiased bilinear scaler.

    Where torch is not loaded (captioner.runtime), by one that gives the same bits.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return scale_without_torch(rgb, rows, columns)
    # Batch first, so that torch takes it for channels-last, as it lies in memory: a third of the time.
    picture = torch.from_numpy(np.ascontiguousarray(rgb))[None].permute(0, 3, 1, 2)
    scaled = torch.nn.functional.interpolate(picture, size=(rows, columns), mode="bilinear", antialias=True)
    return scaled[0].permute(1, 2, 0).contiguous().numpy()
