"""The same functions for programs: ``/caption`` and ``/timeline``, over HTTP, gradio_client and (where it is
installed) the Model Context Protocol. The docstrings of the endpoints are what its users read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gradio as gr

from captioner.caption.merging import merge_next
from captioner.caption.result import Caption
from captioner.outputs.writers import row, srt, vtt
from demo.components.panel import settings
from demo.engine import Engine, Seen, Strategy
from demo.limits import refusals
from demo.tabs.timeline import parts


def endpoints(engine: Engine, *, caption: list[Any], timeline: list[Any]) -> None:
    """Add the endpoints. The lists are the settings of a request of each tab: the components check what is sent."""
    video = gr.Video(visible=False, label="video")
    _caption_endpoint(engine, [video, *caption])
    _timeline_endpoint(engine, [video, *timeline])


def _caption_endpoint(engine: Engine, request: list[Any]) -> None:
    def caption(
        video: str,
        checkpoint: str = "",
        strategy: Strategy = "beam",
        beams: float = 5,
        length_penalty: float = 0.7,
        frames: float = 16,
        min_confidence: float | None = None,
        start_seconds: float = 0,
        end_seconds: float = 0,
    ) -> dict[str, Any]:
        """Say in one sentence what a video shows, with the moment that made it say each word.

        Args:
            video: A video file: MP4, WebM, MOV, MKV, AVI and others.
            checkpoint: Name of the model; leave it out for the first.
            strategy: beam (the best of several sentences), greedy, diverse or sample.
            beams: Sentences kept in mind at each word, 1 to 20.
            length_penalty: 0 is none; higher favours long sentences.
            frames: Moments of the video that are looked at, 1 to 64.
            min_confidence: Below this, 0 to 1, a caption is marked as abstained; leave it out for the checkpoint's.
            start_seconds: Caption from here on.
            end_seconds: Caption up to here; 0 is the end.

        Returns:
            file, caption, confidence (0 to 1), words (each with its attention over the frames and its moment),
            alternatives with their scores, times_seconds of the frames, warnings, and the model's fingerprint.
        """
        with refusals():
            chosen = (checkpoint, strategy, beams, length_penalty, frames, min_confidence, start_seconds, end_seconds)
            with engine.clips.join() as places:
                for _ in places:
                    continue
                return named_row(engine.caption(video, settings(*chosen)).caption)

    gr.Button(visible=False).click(
        caption,
        request,
        gr.JSON(visible=False, label="caption"),
        api_name="caption",
        concurrency_id="clips",
        concurrency_limit=engine.limits.clips_at_once,
    )


def _timeline_endpoint(engine: Engine, request: list[Any]) -> None:
    def timeline(
        video: str,
        parts_by: str = "shots",
        part_seconds: float = 10,
        checkpoint: str = "",
        strategy: Strategy = "beam",
        beams: float = 5,
        length_penalty: float = 0.7,
        frames: float = 16,
        min_confidence: float | None = None,
        start_seconds: float = 0,
        end_seconds: float = 0,
    ) -> Iterator[dict[str, Any]]:
        """Caption a long video part by part, by its shots or in parts of equal length.

        Args:
            video: A video file.
            parts_by: shots, or fixed for parts of part_seconds.
            part_seconds: Length of a part when parts_by is fixed.
            checkpoint: Name of the model; leave it out for the first.
            strategy: beam, greedy, diverse or sample.
            beams: Sentences kept in mind at each word, 1 to 20.
            length_penalty: 0 is none; higher favours long sentences.
            frames: Moments of each part that are looked at, 1 to 64.
            min_confidence: Below this, 0 to 1, a caption is marked as abstained; leave it out for the checkpoint's.
            start_seconds: Caption from here on.
            end_seconds: Caption up to here; 0 is the end.

        Returns:
            After each part again: finished (true at last), done_seconds, duration_seconds, captions (as /caption
            gives them, with start_seconds and end_seconds) and, once finished, the same as vtt and srt.
        """
        with refusals():
            chosen = (checkpoint, strategy, beams, length_penalty, frames, min_confidence, start_seconds, end_seconds)
            with engine.films.join() as places:
                for _ in places:
                    continue
                yield from _timeline(engine.timeline(video, settings(*chosen), segments=parts(parts_by, part_seconds)))

    gr.Button(visible=False).click(
        timeline,
        request,
        gr.JSON(visible=False, label="timeline"),
        api_name="timeline",
        concurrency_id="films",
        concurrency_limit=engine.limits.films_at_once,
    )


def named_row(caption: Caption) -> dict[str, Any]:
    """The row of a caption with ``file`` in place of ``path``, which gradio_client would take for a file to fetch."""
    values = row(caption)
    return {"file": values.pop("path")} | values


def _timeline(films: Iterator[Seen]) -> Iterator[dict[str, Any]]:
    captions: list[Caption] = []
    held: Caption | None = None
    state: dict[str, Any] = {"finished": False, "done_seconds": 0.0, "duration_seconds": None, "captions": []}
    with contextlib.closing(films):  # type: ignore[type-var]
        for seen in films:
            certain, held = merge_next(held, seen.caption)
            captions += [certain] if certain else []
            known = {"done_seconds": held.end_seconds, "duration_seconds": seen.frames.duration_seconds}
            state |= known | {"captions": [named_row(caption) for caption in captions]}
            yield dict(state)  # gradio compares it with the next
    captions += [held] if held else []
    said = {"captions": [named_row(caption) for caption in captions]}
    yield state | said | {"finished": True, "vtt": "".join(vtt(captions)), "srt": "".join(srt(captions))}
