"""A film in segments: the frames of each shot, or of each so many seconds, as it is read, in bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np

from captioner.errors import ConfigError, counted
from captioner.video.config import VideoConfig
from captioner.video.container import Deadline, check_file, open_video, surprises_are_failures, why_undecodable
from captioner.video.film import Film
from captioner.video.frames import Frames, resize_frame, sample_frames
from captioner.video.keyframes import Doubt, PacketsOnDisk, frames_by_keyframe
from captioner.video.reservoir import Chosen, Reservoir
from captioner.video.selection import Selection, aims_between
from captioner.video.shots import ShotDetector
from captioner.video.upright import Upright
from captioner.video.visibility import shows_something

Segments = Literal["shots"] | float
"""How to divide a film: by its shots, or every so many seconds."""

LONGEST_SECONDS = 60
"""A shot that goes on longer comes in parts of this length; merging makes one of them again if they say the same."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a film, in seconds from the start of the file, as players count."""

    start_seconds: float
    end_seconds: float | None
    """None: a picture, or a clip whose length is not known."""


def parse_segments(text: str) -> Segments:
    """``shots``, or a number of seconds, as it is typed; raises ConfigError."""
    if text == "shots":
        return "shots"
    try:
        seconds = float(text)
    except ValueError:
        raise ConfigError(f"segments is {text!r}; it must be shots, or a number of seconds such as 10") from None
    check_segments(seconds)
    return seconds


def check_segments(segments: Segments) -> None:
    """Raise ConfigError unless ``segments`` is "shots" or a number of seconds above 0."""
    if segments != "shots" and not (isinstance(segments, int | float) and 0 < segments < math.inf):
        raise ConfigError(f"segments is {segments!r}; it must be shots, or a number of seconds above 0")


def segment_frames(
    path: str | os.PathLike[str],
    video: VideoConfig = VideoConfig(),  # noqa: B008 - frozen
    *,
    segments: Segments | None,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    timeout_seconds: float | None = 60.0,
) -> Iterator[tuple[Span, Frames]]:
    """Each segment of start .. end and its frames, as soon as it has been read; None is one segment, the whole.

    Segments follow each other without gaps. Segments of fixed length get the frames that ``sample_frames`` gives for
    each span. A shot of more than eight times ``video.frames`` frames is sampled a little off the middle of its parts.
    ``timeout_seconds`` limits the time to the next segment, or to the next ten seconds of film.
    Raises ConfigError for settings that make no sense, and VideoError as ``sample_frames`` does, perhaps after some
    segments.
    """
    if segments is None:
        return _whole(path, video, Selection(1, start_seconds, end_seconds), timeout_seconds)
    check_segments(segments)
    return _guarded(path, _segments(path, video, segments, Selection(1, start_seconds, end_seconds), timeout_seconds))


def _guarded(path: str | os.PathLike[str], found: Iterator[tuple[Span, Frames]]) -> Iterator[tuple[Span, Frames]]:
    with surprises_are_failures(path):
        yield from found


def _whole(
    path: str | os.PathLike[str], video: VideoConfig, selection: Selection, timeout_seconds: float | None
) -> Iterator[tuple[Span, Frames]]:
    start, end = selection.start_seconds, selection.end_seconds
    frames = sample_frames(path, video, start_seconds=start, end_seconds=end, timeout_seconds=timeout_seconds)
    ends = [seconds for seconds in (end, frames.duration_seconds) if seconds is not None]
    yield Span(start_seconds=start or 0.0, end_seconds=min(ends, default=None)), frames


def _segments(
    path: str | os.PathLike[str],
    video: VideoConfig,
    segments: Segments,
    selection: Selection,
    timeout_seconds: float | None,
) -> Iterator[tuple[Span, Frames]]:
    file = check_file(path)
    film = Film(file, selection, Deadline(file, timeout_seconds))
    if film.is_still:
        yield from _whole(path, video, selection, timeout_seconds)
        return
    start = film.start
    if segments == "shots":
        yield from _by_reading(film, _Shots(start), video, start)
        return
    length = Fraction(segments)
    if film.timeline is not None and length >= 2 * film.timeline.frame_seconds:
        try:
            for begin, end, frames in _by_keyframes(film, length, video):
                yield _span(film, begin, end), frames
                film.deadline.renew()
                start = end
        except Doubt:
            pass
        if start == film.end:
            return
    yield from _by_reading(film, _Clock(start, length), video, start)


def _span(film: Film, start: Fraction, end: Fraction) -> Span:
    return Span(start_seconds=float(film.lead + start), end_seconds=float(film.lead + end))


# --- any file: every frame is decoded ---------------------------------------------------------------------------


class _Cutter(Protocol):
    """Says where segments end, as the frames come by."""

    carries: bool
    """Whether what is on the screen at a cut belongs to both sides."""

    @property
    def settled(self) -> Fraction:
        """No cut before this moment is still to come."""

    def push(self, seconds: Fraction, frame: Any) -> list[Fraction]:
        """The cuts that this frame makes certain."""

    def finish(self, over: Fraction) -> list[Fraction]:
        """The cuts that remain at the end of the film."""


class _Shots:
    """Cuts at shot boundaries, and in very long shots."""

    carries = False

    def __init__(self, start: Fraction) -> None:
        self._detector = ShotDetector()
        self._start = start

    @property
    def settled(self) -> Fraction:
        return self._detector.settled_seconds

    def push(self, seconds: Fraction, frame: Any) -> list[Fraction]:
        cuts = self._new(self._detector.push(seconds, frame))
        if not cuts and self.settled - self._start >= LONGEST_SECONDS:
            cuts = [self.settled]
        if cuts:
            self._start = cuts[-1]
        return cuts

    def finish(self, over: Fraction) -> list[Fraction]:
        return self._new(self._detector.finish())

    def _new(self, cuts: list[Fraction]) -> list[Fraction]:
        """Without one where a long shot has been cut already."""
        return [cut for cut in cuts if cut > self._start]


class _Clock:
    """Cuts every ``length`` seconds, save where one picture fills whole segments: these are one.

    A rest shorter than a quarter of the length, and than a second, belongs to the last segment.
    """

    carries = True

    def __init__(self, start: Fraction, length: Fraction) -> None:
        self._length, self._tail = length, _tail(length)
        self._next = start + length
        self._due: list[Fraction] = []

    @property
    def settled(self) -> Fraction:
        return self._due[0] if self._due else self._next

    def push(self, seconds: Fraction, frame: Any) -> list[Fraction]:
        if seconds >= self._next:
            last = self._next + (seconds - self._next) // self._length * self._length
            self._due += [self._next] if last == self._next else [self._next, last]
            self._next = last + self._length
        return self._release(seconds)

    def finish(self, over: Fraction) -> list[Fraction]:
        if over - self._next >= self._tail:  # the last picture stays on
            self._due.append(self._next)
        return self._release(over)

    def _release(self, reached: Fraction) -> list[Fraction]:
        certain = [cut for cut in self._due if reached - cut >= self._tail]
        self._due = self._due[len(certain) :]
        return certain


def _tail(length: Fraction) -> Fraction:
    """The shortest last segment."""
    return min(length / 4, Fraction(1))


def _by_reading(film: Film, cutter: _Cutter, video: VideoConfig, start: Fraction) -> Iterator[tuple[Span, Frames]]:
    reservoir = Reservoir(video, upright=Upright(film.file), layout=film.layout)
    lost, read = film.report.lost, False
    for seconds, frame in film.read(start, seek=start == film.start):
        read = True
        reservoir.add(seconds, frame)
        for cut in cutter.push(seconds, frame):
            chosen = reservoir.take(start, cut, carry=cutter.carries)
            yield _span(film, start, cut), _frames(film, chosen, lost=film.report.lost - lost)
            film.deadline.renew()
            start, lost = cut, film.report.lost
        reservoir.settle(cutter.settled)
    if not read:
        beyond = f" from {float(start):.1f} seconds on" if start > film.start else ""
        raise why_undecodable(film.file, f"not one frame of {film.file} can be decoded{beyond}")
    for end in [*cutter.finish(film.over), film.over]:
        chosen = reservoir.take(start, end, carry=cutter.carries)
        warnings = film.warnings if end == film.over else ()
        yield _span(film, start, end), _frames(film, chosen, lost=film.report.lost - lost, warnings=warnings)
        start, lost = end, film.report.lost


def _frames(film: Film, chosen: Chosen, *, lost: int = 0, warnings: tuple[str, ...] = ()) -> Frames:
    if lost:
        warnings = (f"{counted(lost, 'damaged frame')} left out", *warnings)
    return Frames(
        pixels=chosen.pixels,
        is_blank=not shows_something(chosen.pixels),
        times_seconds=tuple(float(film.lead) + seconds for seconds in chosen.times_seconds),
        duration_seconds=film.duration_seconds,
        width=chosen.width,
        height=chosen.height,
        lost=lost,
        warnings=warnings,
    )


# --- a file with an index, in segments of a fixed length: only what the wanted frames need is decoded ------------


def _by_keyframes(film: Film, length: Fraction, video: VideoConfig) -> Iterator[tuple[Fraction, Fraction, Frames]]:
    """Start, end and frames of each segment; raises Doubt, perhaps after some."""
    assert film.timeline is not None and film.end is not None
    upright, start, before = Upright(film.file), film.start, -1
    with open_video(film.file, film.deadline) as (container, stream):
        packets = PacketsOnDisk(container, stream, film.deadline)
        while start < film.end:
            end = start + length if film.end - start - length >= _tail(length) else film.end
            aims = aims_between(film.timeline, start, end, count=video.frames)
            pixels, times, size, tick = [], [], (0, 0), before
            for frame in frames_by_keyframe(
                packets, stream, aims, stand_ins=video.mode == "segment", deadline=film.deadline
            ):
                film.deadline.renew()
                seconds, tick = film.timeline.seconds(frame.pts), frame.pts
                picture = upright(seconds, frame, film.layout)
                size = picture.size_shown
                times.append(float(seconds))
                pixels.append(
                    resize_frame(picture.pixels, size=video.size, how=video.resize, pixel_aspect=picture.pixel_aspect)
                )
            if len(times) == 1 and tick == before:
                raise Doubt("one picture fills a whole segment, and how many more is not known")
            before = tick
            chosen = Chosen(pixels=np.stack(pixels), times_seconds=tuple(times), width=size[0], height=size[1])
            yield start, end, _frames(film, chosen)
            start = end
