"""Reads a video that is still being made: a growing file, or a stream on standard input; from start to end, once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from captioner.errors import VideoError
from captioner.video.container import FORMATS, MAX_PIXELS, Deadline, read_packets, video_stream
from captioner.video.sampling import Report, Shown, decoded, on_screen
from captioner.video.timeline import first_clock

STDIN = Path("-")


def read_live(file: Path, *, idle_seconds: float | None = None) -> Iterator[Shown]:
    """Every frame with its seconds from the first, as it comes, of a checked file or of :data:`STDIN`.

    A growing file is over once nothing has been added for ``idle_seconds`` (None: it never is); a stream, when its
    writer closes it. It has to be of a kind that can be read before it is complete: MPEG-TS, Matroska, FLV or
    fragmented MP4.
    Raises VideoError.
    """
    protocol = "pipe" if file == STDIN else "file"
    options = {"protocol_whitelist": protocol, "format_whitelist": FORMATS, "max_pixels": str(MAX_PIXELS)}
    if file != STDIN:
        options["follow"] = "1"
    name = "pipe:0" if file == STDIN else f"file:{file}"
    try:
        container = av.open(name, options=options, metadata_errors="replace", timeout=(idle_seconds, idle_seconds))
    except av.FFmpegError as error:
        raise VideoError("damaged", f"{file} cannot be read as it grows: {error.strerror}") from None
    with container:
        stream = video_stream(file, container, None)
        deadline = Deadline(file, None)
        packets = _until_idle(read_packets(container, stream, deadline))
        frames = decoded(packets, stream, deadline, Report())
        first = next(frames, None)
        if first is None:
            return
        clock = first_clock(stream).starting_at(first.pts)
        yield from on_screen(itertools.chain([first], frames), clock)


def _until_idle(packets: Iterator[Any]) -> Iterator[Any]:
    """The packets up to the one that was waited for too long."""
    try:
        yield from packets
    except VideoError as error:
        if error.code != "timeout":
            raise
