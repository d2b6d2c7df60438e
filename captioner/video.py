"""From a video file to the frames that the network looks at, and to what ``captioner probe`` says of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from captioner.config import VideoConfig
from captioner.container import Deadline, check_file, is_still, open_video, surprises_are_failures
from captioner.errors import VideoError
from captioner.exif import exif_orientation
from captioner.sampling import Report, select
from captioner.timeline import Selection
from captioner.visibility import shows_something

Mode = Literal["exact", "segment"]
Resize = Literal["squash", "crop", "pad"]


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


@dataclass(frozen=True, kw_only=True)
class SampledFrame:
    """One frame at the resolution of the file, rotated as a player would."""

    time_seconds: float
    pixels: np.ndarray
    """(height, width, 3) uint8 RGB."""
    pixel_aspect: float
    """Width of one pixel over its height; not 1 on DVDs and the like."""

    @property
    def size_shown(self) -> tuple[int, int]:
        """(width, height) with square pixels."""
        height, width = self.pixels.shape[:2]
        return max(1, round(width * self.pixel_aspect)), height


class FrameReader:
    """Iterates over sampled frames, and tells what is known of the clip once the first has been read."""

    def __init__(self, frames: Iterator[SampledFrame], report: Report) -> None:
        self._frames = frames
        self._report = report

    def __iter__(self) -> FrameReader:
        return self

    def __next__(self) -> SampledFrame:
        return next(self._frames)

    @property
    def lost(self) -> int:
        """Frames or packets that could not be decoded so far."""
        return self._report.lost

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of the clip as far as it was read."""
        return self._report.warnings

    @property
    def duration_seconds(self) -> float | None:
        return self._report.duration_seconds


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
            width, height = frame.size_shown
        pixels.append(resize_frame(frame.pixels, size=config.size, how=config.resize, pixel_aspect=frame.pixel_aspect))
        times.append(frame.time_seconds)
    stacked = np.stack(pixels)
    return Frames(
        pixels=stacked,
        is_blank=not shows_something(stacked),
        times_seconds=tuple(times),
        duration_seconds=reader.duration_seconds,
        width=width,
        height=height,
        lost=reader.lost,
        warnings=reader.warnings,
    )


def iter_frames(
    path: str | os.PathLike[str],
    *,
    count: int,
    mode: Mode = "exact",
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    timeout_seconds: float | None = 60.0,
) -> FrameReader:
    """The sampled frames one by one, in order and as large as they are; memory does not grow with the clip.

    Nothing is opened before the first frame is asked for; errors are those of ``sample_frames``.
    """
    report = Report()
    selection = Selection(count, start_seconds, end_seconds)
    return FrameReader(_frames(path, selection, mode, timeout_seconds, report), report)


def _frames(
    path: str | os.PathLike[str], selection: Selection, mode: Mode, timeout_seconds: float | None, report: Report
) -> Iterator[SampledFrame]:
    file = check_file(path)
    deadline = Deadline(file, timeout_seconds)
    found, upright = False, Upright(file)
    with surprises_are_failures(path):
        for seconds, frame in select(file, selection, stand_ins=mode == "segment", deadline=deadline, report=report):
            found = True
            yield upright(seconds + report.lead, frame, report.pixel_aspect)
    if not found:
        raise _nothing(file)


def _nothing(file: Path) -> VideoError:
    return VideoError("damaged", f"not one frame of {file} can be decoded")


class Upright:
    """Turns the frames of one clip into RGB pictures that stand as a player or a viewer shows them."""

    def __init__(self, file: Path | None = None) -> None:
        """``file``: where the frames are from, which may be a photo; None: they are not of a photo."""
        orientation = exif_orientation(file) if file else None
        self._photo = _EXIF_TURNS[orientation] if orientation else None
        self._turns: dict[int, _Turn] = {0: _Turn()}

    def __call__(self, seconds: Fraction, frame: Any, pixel_aspect: float) -> SampledFrame:
        turn = self._photo or self._turn(frame)
        return SampledFrame(
            time_seconds=float(seconds),
            pixels=turn.apply(frame.reformat(format="rgb24", threads=1).to_ndarray()),
            pixel_aspect=1 / pixel_aspect if turn.transpose else pixel_aspect,
        )

    def degrees(self, frame: Any) -> int:
        """By which it turns a frame counter-clockwise; mirroring left aside."""
        return self._photo.degrees if self._photo else frame.rotation % 360

    def _turn(self, frame: Any) -> _Turn:
        rotation = frame.rotation
        if rotation not in self._turns:
            self._turns[rotation] = _Turn.of(frame)
        return self._turns[rotation]


@dataclass(frozen=True)
class _Turn:
    """A quarter turn, half turn or mirroring, as rows and columns exchanged first and turned round then."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: Any) -> _Turn:
        """The nearest to a frame's display matrix, by which the point (x, y) is shown at (ax + cy, bx + dy).

        Called as rarely as can be, and never for photos: PyAV's side data and its frame hold each other until the
        garbage collector comes, and a colour profile among the side data is then freed twice (a crash).
        """
        matrix = next(bytes(item) for item in frame.side_data if item.type.name == "DISPLAYMATRIX")
        a, b, _, c, d = struct.unpack_from("=5i", matrix)
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
        return cls(transpose=False, flip_rows=d < 0, flip_columns=a < 0)

    @property
    def degrees(self) -> int:
        """Counter-clockwise, as a player would turn the stored picture; mirroring left aside."""
        if self.transpose:
            return 90 if self.flip_rows else 270
        return 180 if self.flip_rows and self.flip_columns else 0

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        return pixels[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


_EXIF_TURNS = {
    1: _Turn(),
    2: _Turn(flip_columns=True),
    3: _Turn(flip_rows=True, flip_columns=True),
    4: _Turn(flip_rows=True),
    5: _Turn(transpose=True),
    6: _Turn(transpose=True, flip_columns=True),
    7: _Turn(transpose=True, flip_rows=True, flip_columns=True),
    8: _Turn(transpose=True, flip_rows=True),
}
"""By EXIF's orientation: where the stored picture's first row and first column are shown."""


def probe(path: str | os.PathLike[str], *, timeout_seconds: float | None = 60.0) -> VideoInfo:
    """What the file is, by decoding one frame of it; raises VideoError as ``sample_frames`` does."""
    with surprises_are_failures(path):
        return _probe(check_file(path), timeout_seconds)


def _probe(file: Path, timeout_seconds: float | None) -> VideoInfo:
    deadline = Deadline(file, timeout_seconds)
    report = Report()
    _, frame = next(select(file, Selection(1), stand_ins=True, deadline=deadline, report=report), (None, None))
    if frame is None:
        raise _nothing(file)
    upright = Upright(file)
    width, height = upright(Fraction(0), frame, report.pixel_aspect).size_shown
    with open_video(file, deadline) as (container, stream):
        rate = None if is_still(container) else stream.average_rate
        return VideoInfo(
            path=str(file),
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            rotation_degrees=upright.degrees(frame),
            frames_per_second=float(rate) if rate else None,
            duration_seconds=report.duration_seconds,
            size_bytes=file.stat().st_size,
            has_audio=bool(container.streams.audio),
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
    """``rgb`` (height, width, 3) uint8 as (rows, columns, 3), by torch's antialiased bilinear scaler."""
    import torch

    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None]  # channels last, as it lies in memory
    scaled = torch.nn.functional.interpolate(picture, size=(rows, columns), mode="bilinear", antialias=True)
    return scaled[0].permute(1, 2, 0).contiguous().numpy()
