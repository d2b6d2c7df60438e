"""Limits on requests, and the sentence for a refused one."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from captioner.errors import CaptionerError, ConfigError, VideoError
from demo import strings

log = logging.getLogger("captioner.demo")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of the demo; every one of them ends in a sentence, never in silence."""

    upload_megabytes: int = 500
    """Of one file; refused while it is being uploaded."""
    clip_minutes: float = 120.0
    """Longest video, in every tab."""
    batch_files: int = 50
    """Files of one batch."""
    text_megabytes: int = 64
    """Of predictions or references."""
    decode_seconds: float = 30.0
    """For the frames of one clip; then the process that decodes it is killed."""
    run_seconds: float = 1800.0
    """For one timeline or batch."""
    evaluate_seconds: float = 120.0
    clips_at_once: int = 2
    """Captions made at the same time; the other visitors wait in a line and are told their place."""
    films_at_once: int = 2
    """Timelines and batches made at the same time, beside the captions."""
    waiting: int = 64
    """Visitors in each line; the next one is asked to come back."""
    keep_seconds: int = 3600
    """Uploads and results older than this are deleted."""


class Refusal(CaptionerError):
    """A request that is declined; ``str(error)`` is the sentence the visitor reads."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn every failure inside into one sentence for the visitor, without a path or a traceback in it.

    Raises gr.Error, whose text browsers show as HTML: it is escaped here.
    """
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(html.escape(told(error), quote=False), print_exception=False) from None


def told(error: Exception) -> str:
    """What a visitor is told of any failure; one that the visitor can do nothing about goes into the log."""
    if isinstance(error, CaptionerError):
        return sentence(error)
    log.error("a request failed", exc_info=error)
    return strings.BROKEN


def sentence(error: CaptionerError) -> str:
    """What a visitor is told of ``error``. What the package says of files names paths of the server: it is replaced."""
    if isinstance(error, VideoError):
        log.info("refused: %s [%s]", error, error.code)
        return strings.REFUSED[error.code]
    if isinstance(error, (Refusal, ConfigError)):
        return str(error)
    log.error("refused: %s", error)
    return strings.BROKEN


def check_files(uploads: list[str] | None, limits: Limits) -> list[Path]:
    """The files of a run. Raises Refusal where there are none, and where there are too many."""
    if not uploads:
        raise Refusal(strings.NO_FILES)
    if len(uploads) > limits.batch_files:
        raise Refusal(strings.TOO_MANY.format(count=len(uploads), limit=limits.batch_files))
    return [Path(upload) for upload in uploads]


def check_length(duration_seconds: float | None, limits: Limits) -> None:
    """Raises Refusal where a clip is longer than the demo takes."""
    if duration_seconds is not None and duration_seconds > limits.clip_minutes * 60:
        raise Refusal(strings.TOO_LONG.format(minutes=duration_seconds / 60, limit=limits.clip_minutes))
