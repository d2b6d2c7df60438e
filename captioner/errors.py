"""Errors meant for the person at the keyboard: one plain sentence each, never a traceback.

An ``assert`` is for our own bugs. A :class:`CaptionerError` is for the user's: it echoes the value,
says what is allowed and what to do.
"""

from __future__ import annotations

from typing import Literal, get_args

VideoErrorCode = Literal[
    "not_found", "not_a_file", "empty", "no_video", "unsupported", "damaged", "too_large", "blocked", "timeout"
]


class CaptionerError(Exception):
    """Something the user can put right. ``str(error)`` is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(CaptionerError):
    """A recipe, option or setting that does not make sense."""


class UsageError(CaptionerError):
    """A command whose options contradict each other: exit status 2."""


class DataError(CaptionerError):
    """A manifest, data set or predictions file that cannot be used."""


class CheckpointError(CaptionerError):
    """A checkpoint, CNN or tokenizer folder that is missing something or does not match itself."""


class VideoError(CaptionerError):
    """A file that cannot be captioned.

    ``code`` is one of :data:`VideoErrorCode` and stays stable for scripts; ``str(error)`` is for people.
    """

    def __init__(self, code: VideoErrorCode, message: str) -> None:
        assert code in get_args(VideoErrorCode), code
        super().__init__(message)
        self.code: VideoErrorCode = code

    def __reduce__(self) -> tuple[type[VideoError], tuple[VideoErrorCode, str]]:
        return VideoError, (self.code, str(self))


def first_line(error: Exception) -> str:
    """What a library's error says, in short."""
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
