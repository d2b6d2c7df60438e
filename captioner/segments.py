"""A clip part by part: where each part lies, and its frames.

Only the whole clip as one part so far; shots and fixed lengths are on their way (issue 5, item 3).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from captioner.config import VideoConfig
from captioner.errors import ConfigError
from captioner.video import Frames, sample_frames

Segments = Literal["shots"] | float
"""How to divide a film: by its shots, or every so many seconds."""

LONGEST_SECONDS = 60
"""A shot that goes on longer comes in parts of this length."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a clip, in seconds from its first frame; ``end_seconds`` None is the clip's end, where not known."""

    start_seconds: float
    end_seconds: float | None


def segment_frames(
    path: str | os.PathLike[str],
    video: VideoConfig,
    *,
    segments: Segments | None,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    timeout_seconds: float | None = 60.0,
) -> Iterator[tuple[Span, Frames]]:
    """Each part with its frames; None is the whole clip as one part. Errors are those of ``sample_frames``."""
    if segments is not None:
        raise ConfigError("segments are not there yet")
    frames = sample_frames(
        path, video, start_seconds=start_seconds, end_seconds=end_seconds, timeout_seconds=timeout_seconds
    )
    ends = [seconds for seconds in (end_seconds, frames.duration_seconds) if seconds is not None]
    yield Span(start_seconds=start_seconds or 0.0, end_seconds=min(ends, default=None)), frames
