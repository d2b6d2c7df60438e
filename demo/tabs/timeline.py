"""The Timeline tab: a long video part by part, captions appearing as they are made."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from captioner.caption.merging import merge_next
from captioner.caption.result import Caption
from captioner.errors import CaptionerError
from captioner.outputs.writers import row, srt, vtt
from demo import strings
from demo.components.downloads import as_json, links, stem
from demo.components.pace import Pace
from demo.components.panel import panel, settings
from demo.components.pictures import thumbnail
from demo.components.player import player, samples_of
from demo.components.result import confidence, empty, progress
from demo.components.stops import Stops, buttons
from demo.components.words import clock
from demo.engine import Engine, Seen
from demo.limits import refusals, sentence

PLAYER = "timeline-player"
LIST = "timeline-result"
DEFAULT_SECONDS = 10


def timeline_tab(engine: Engine, *, samples: dict[str, Path]) -> list[Any]:
    """Draw the tab; returns the components of a request, the video first."""
    stops = Stops()
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            video = player(PLAYER)
            with gr.Row():
                how = gr.Radio(list(strings.SEGMENT_CHOICES.items()), value="shots", label=strings.SEGMENTS)
                seconds = gr.Number(DEFAULT_SECONDS, label=strings.SEGMENT_SECONDS, minimum=0.2, visible=False)
            with gr.Row():
                run = gr.Button(strings.RUN_TIMELINE, variant="primary", elem_id="timeline-run")
                stop = gr.Button(strings.CANCEL, elem_id="timeline-cancel", interactive=False)
            samples_of(video, samples, elem_id="timeline-samples")
            chosen = panel(engine)
        with gr.Column(scale=3, min_width=320):
            status = gr.HTML(elem_id="timeline-status", js_on_load=None, apply_default_css=False)
            files = gr.HTML(elem_id="timeline-files", js_on_load=None, apply_default_css=False)
            shown = gr.HTML(empty(strings.EMPTY_TIMELINE), elem_id=LIST, js_on_load=None, apply_default_css=False)
    how.change(lambda value: gr.update(visible=value == "fixed"), how, seconds, api_visibility="private")
    request = [video, how, seconds, *chosen.components]

    def show_timeline(
        visitor: gr.Request, upload: str | None, how: str, seconds: float, *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        with refusals(), stops.run(str(visitor.session_hash)) as stopped:
            films = engine.timeline(upload, settings(*values), segments=parts(how, seconds))
            yield from _run(films, stopped)

    def cancel(visitor: gr.Request) -> Any:
        stops.ask(str(visitor.session_hash))
        return gr.update(interactive=False)

    started = run.click(
        show_timeline,
        request,
        [shown, status, files, run, stop],
        concurrency_id="films",
        concurrency_limit=engine.limits.films_at_once,
        show_progress="hidden",
        api_visibility="private",
    )
    reset = [status, run, stop]
    started.failure(lambda: ("", *buttons(running=False)), None, reset, queue=False, api_visibility="private")
    stop.click(cancel, None, stop, queue=False, show_progress="hidden", api_visibility="private")
    shown.change(None, js=f"() => captioner.subtitles('{PLAYER}', '{LIST}')", api_visibility="private")
    return request


def parts(how: str, seconds: float | None) -> Literal["shots"] | float:
    """What the choice of parts stands for."""
    return "shots" if how == "shots" else float(seconds or DEFAULT_SECONDS)


def downloads(captions: list[Caption]) -> str:
    """The captions as VTT, SRT and JSON."""
    if not captions:
        return ""
    name = stem(captions[0].path)
    files = {
        f"{name}.vtt": "".join(vtt(captions)),
        f"{name}.srt": "".join(srt(captions)),
        f"{name}.json": as_json([row(caption) for caption in captions]),
    }
    return links(files, label=strings.DOWNLOAD)


def _run(films: Iterator[Seen], stopped: threading.Event) -> Iterator[tuple[Any, ...]]:
    """What the page shows after each part; a refusal after some parts keeps these, and so does stopping."""
    html = f'<ol class="cap-timeline" data-player="{PLAYER}" aria-label="{strings.TIMELINE}">'
    captions, pace = list[Caption](), Pace()
    held: Caption | None = None
    picture = ""
    failed = ""
    yield html, progress(strings.TIMELINE_START, 0.0), "", *buttons(running=True)
    with contextlib.closing(films):  # type: ignore[type-var]
        try:
            for seen in films:
                certain, following = merge_next(held, seen.caption)
                if certain is not None:
                    captions.append(certain)
                    html += _item(certain, picture)
                if certain is not None or held is None:
                    picture = thumbnail(seen.frames, len(seen.frames.pixels) // 2, squashed=seen.squashed)
                held = following
                if stopped.is_set():
                    break
                if pace.due():
                    # Only ever longer: gradio then sends what is new, not the whole list.
                    yield html, _progress(seen, len(captions)), "", gr.skip(), gr.skip()
        except CaptionerError as error:
            if held is None:
                raise
            failed = strings.TIMELINE_FAILED.format(reason=sentence(error), count=len(captions) + 1)
    if held is not None:
        captions.append(held)
        html += _item(held, picture)
    count = len(captions)
    if failed:
        shown = progress(failed, None)
    elif stopped.is_set():
        shown = progress(strings.TIMELINE_STOPPED.format(count=count), None)
    else:
        shown = progress(strings.TIMELINE_DONE.format(count=count), 1.0)
    yield html, shown, downloads(captions), *buttons(running=False)


def _progress(seen: Seen, count: int) -> str:
    """How far a run has come, as HTML."""
    done, whole = _end(seen.caption), seen.frames.duration_seconds
    if not whole:
        return progress(strings.TIMELINE_PROGRESS_OPEN.format(count=count, done=clock(done)), None)
    said = strings.TIMELINE_PROGRESS.format(count=count, done=clock(done), whole=clock(whole))
    return progress(said, min(1.0, done / whole))


def _end(caption: Caption) -> float:
    return caption.end_seconds if caption.end_seconds is not None else caption.times_seconds[-1]


def _item(caption: Caption, picture: str) -> str:
    end = _end(caption)
    text, say = escape(caption.told), escape(strings.JUMP.format(time=clock(caption.start_seconds), text=caption.told))
    return (
        f'<li><button type="button" class="cap-jump" data-seek="{caption.start_seconds:.3f}" data-end="{end:.3f}" '
        f'data-text="{text}" aria-label="{say}"><img src="{picture}" alt=""><span class="cap-when">'
        f"{clock(caption.start_seconds)} – {clock(end)}</span><span>{text}</span>{confidence(caption)}"
        "</button></li>"
    )
