"""The same functions for programs: ``/caption``, ``/timeline`` and ``/find``, over HTTP, gradio_client and (where it is
installed) the Model Context Protocol. The docstrings of the endpoints are what its users read."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.caption.merging import merge_next
from captioner.caption.result import Caption
from captioner.index.writers import row as found_row
from captioner.outputs.rows import row
from captioner.outputs.writers import srt, vtt
from demo.components.panel import settings
from demo.engine import Engine, Seen, Strategy, sliders
from demo.finder import Finder
from demo.limits import refusals
from demo.tabs.timeline import parts


def endpoints(engine: Engine, finder: Finder, *, caption: list[Any], timeline: list[Any]) -> None:
    """Add the endpoints. The lists are the settings of a request of each tab: the components check what is sent."""
    video = gr.Video(visible=False, label="video")
    clips, films = engine.limits.clips_at_once, engine.limits.films_at_once
    query = [gr.Textbox(visible=False, label="query"), gr.Number(10, visible=False, label="count")]
    _add(_described(_captions(engine)), [video, *caption], name="caption", line="clips", places=clips)
    _add(_described(_timelines(engine)), [video, *timeline], name="timeline", line="films", places=films)
    _add(_finds(finder), query, name="find", line="clips", places=clips)


def _add(endpoint: Callable[..., Any], request: list[Any], *, name: str, line: str, places: int) -> None:
    answer = gr.JSON(visible=False, label=name)
    gr.Button(visible=False).click(
        endpoint, request, answer, api_name=name, concurrency_id=line, concurrency_limit=places
    )


def _captions(engine: Engine) -> Callable[..., Any]:
    def caption(
        video: str,
        checkpoint: str = "",
        strategy: Strategy = "beam",
        *rest: Any,
    ) -> dict[str, Any]:
        """Say in one sentence what a video shows, with the moment that led to each word.

        Args:
            video: A video file: MP4, WebM, MOV, MKV, AVI and others.
            checkpoint: Name of the model; leave it out for the first.
            strategy: beam (the best of several sentences), greedy, diverse or sample.
            {search}
            frames: Moments of the video that are looked at, 1 to 64.
            start_seconds: Caption from here on.
            end_seconds: Caption up to here; 0 is the end.

        Returns:
            file, caption, confidence (0 to 1), words (each with its attention over the frames and its moment),
            alternatives with their scores, times_seconds of the frames, scene_seconds (where it describes one
            scene of several: start and end), warnings, and the model's fingerprint.
        """
        with refusals():
            chosen = settings(checkpoint, strategy, *rest)
            with engine.clips.turn():
                return named_row(row(engine.caption(video, chosen).caption))

    return caption


def _timelines(engine: Engine) -> Callable[..., Any]:
    def timeline(
        video: str,
        parts_by: str = "shots",
        part_seconds: float = 10,
        checkpoint: str = "",
        strategy: Strategy = "beam",
        *rest: Any,
    ) -> Iterator[dict[str, Any]]:
        """Caption a long video part by part, by its shots or in parts of equal length.

        Args:
            video: A video file.
            parts_by: shots, or fixed for parts of part_seconds.
            part_seconds: Length of a part when parts_by is fixed.
            checkpoint: Name of the model; leave it out for the first.
            strategy: beam, greedy, diverse or sample.
            {search}
            frames: Moments of each part that are looked at, 1 to 64.
            start_seconds: Caption from here on.
            end_seconds: Caption up to here; 0 is the end.

        Returns:
            After each part again: finished (true at last), done_seconds, duration_seconds, captions (as /caption
            gives them, with start_seconds and end_seconds) and, once finished, the same as vtt and srt.
        """
        with refusals():
            chosen = settings(checkpoint, strategy, *rest)
            with engine.films.turn():
                yield from _timeline(engine.timeline(video, chosen, segments=parts(parts_by, part_seconds)))

    return timeline


def _finds(finder: Finder) -> Callable[..., Any]:
    def find(query: str, count: float = 10) -> list[dict[str, Any]]:
        """Find the clips of the server's index that fit a sentence best.

        Args:
            query: A sentence or words; "exact words", -without, path:holiday/*, after:2024.
            count: Results, 1 to 100.

        Returns:
            A list, best first: file, seconds (the moment), start_seconds, end_seconds, caption, confidence, score,
            similarity and the reasons, each a word with its source, probability and moment.
        """
        with refusals():
            results = finder.search(query, count=max(1, min(100, int(count)))).results
            return [named_row(found_row(found)) for found in results]

    return find


def _described(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint with a named parameter, and a line of its docstring, for each setting that the page shows."""
    *first, _ = inspect.signature(endpoint).parameters.values()
    known = sliders()
    last = dict.fromkeys(known) | {"frames": 16, "start_seconds": 0, "end_seconds": 0}
    more = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=float | None)
        for name, default in last.items()
    ]
    endpoint.__signature__ = inspect.Signature([*first, *more])  # type: ignore[attr-defined]
    lines = [f"{name}: {said.help}; leave it out for the checkpoint's." for name, said in known.items()]
    endpoint.__doc__ = (endpoint.__doc__ or "").replace("{search}", f"\n{12 * ' '}".join(lines))
    return endpoint


def named_row(values: dict[str, Any]) -> dict[str, Any]:
    """A row with the name of the ``file`` in place of its ``path``, which visitors are not told, and which
    gradio_client would take for a file to fetch."""
    return {"file": Path(values.pop("path")).name} | values


def _timeline(films: Iterator[Seen]) -> Iterator[dict[str, Any]]:
    captions: list[Caption] = []
    held: Caption | None = None
    state: dict[str, Any] = {"finished": False, "done_seconds": 0.0, "duration_seconds": None, "captions": []}
    with contextlib.closing(films):  # type: ignore[type-var]
        for seen in films:
            certain, held = merge_next(held, seen.caption)
            captions += [certain] if certain else []
            known = {"done_seconds": held.end_seconds, "duration_seconds": seen.frames.duration_seconds}
            state |= known | {"captions": [named_row(row(caption)) for caption in captions]}
            yield dict(state)  # gradio compares it with the next
    captions += [held] if held else []
    said = {"captions": [named_row(row(caption)) for caption in captions]}
    yield state | said | {"finished": True, "vtt": "".join(vtt(captions)), "srt": "".join(srt(captions))}
