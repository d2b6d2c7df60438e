"""The Timeline tab: a long video part by part, captions appearing as they are made."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import gradio as gr

from captioner.caption.merging import merge_next
from captioner.errors import CaptionerError, counted
from demo import strings
from demo.components.panel import panel, settings
from demo.components.pictures import thumbnail
from demo.components.player import player, shown
from demo.components.result import cue, empty, end_of, progress, said, sure
from demo.components.runs import LongRun, Pace
from demo.components.samples import Sample
from demo.components.tools import correct_button, kept, tools, wire_burn, wire_corrections
from demo.components.wiring import QUIET, area, columns
from demo.components.words import clock
from demo.engine import Engine, Seen
from demo.limits import sentence
from demo.visit.correction import Corrections, Told
from demo.visit.shelf import Clip, Kept, Shelf, Tab

ID = "timeline"
PLAYER = "timeline-player"
LIST = "timeline-result"
DEFAULT_SECONDS = 10


def timeline_tab(engine: Engine, *, samples: Sequence[Sample], shelf: Shelf, corrections: gr.State) -> Tab:
    """Draw the tab inside the running Blocks."""
    left, right, more = columns(ID, more=True)
    with left:
        video = player(PLAYER, engine, samples=samples, first=next(iter(samples), None))
        run = LongRun(engine.films, strings.RUN_TIMELINE, elem_id="timeline")
    with right:
        status, files = run.status(), area(elem_id="timeline-files", events=("burn",))
        made = area(elem_id="timeline-made")
        listed = area(empty(strings.EMPTY_TIMELINE), elem_id=LIST, events=("corrected",))
    with more:
        with gr.Row():
            how = gr.Radio(list(strings.SEGMENT_CHOICES.items()), value="shots", label=strings.SEGMENTS)
            seconds = gr.Number(DEFAULT_SECONDS, label=strings.SEGMENT_SECONDS, minimum=0.2, visible=False)
        chosen = panel(engine)
    result = gr.State(Told())
    work = _Work(engine, shelf)
    how.change(lambda value: gr.update(visible=value == "fixed"), how, seconds, api_visibility="private")
    run.wire(work.show, [video.held, corrections, how, seconds, *chosen.components], [listed, files, made, result])
    wire_corrections(listed, work.keep, shelf, states=[result, corrections], held=video.held, shown=[listed, files])
    wire_burn(files, made, engine, result=result, held=video.held)
    blank = (empty(strings.EMPTY_TIMELINE), "", "", Told(), "")
    video.opened.then(lambda: blank, None, [listed, files, made, result, status], **QUIET)
    return Tab(ID, [video.held, video.stage, listed, files, result], request=[how, seconds, *chosen.components])


class _Work:
    """What the tab does."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self._engine, self._shelf = engine, shelf

    def show(
        self,
        visitor: str,
        stopped: threading.Event,
        held: str,
        corrected: Corrections,
        how: str,
        seconds: float,
        *values: Any,
    ) -> Iterator[tuple[Any, ...]]:
        """Caption the film part by part."""
        films = self._engine.timeline(held, settings(*values), segments=parts(how, seconds))
        for html, status, now in run_timeline(films, stopped):
            above = ""
            if now.captions:
                now = replace(now, name=self._shelf.name())
                _, above = self.keep(visitor, now, corrected, held)
            yield html, above, "", now, status

    def keep(self, visitor: str, now: Told, corrected: Corrections, held: str) -> tuple[str, str]:
        """Put the result on the shelf; returns the list, and what stands above it."""
        html, above = as_list(now), tools(now, corrected) + kept(now, strings.TAB_TIMELINE)
        values, clips = (held, shown(held), html, above, now), (Clip(file=held, captions=now.captions),)
        self._shelf.put(now.name, Kept(tab=ID, values=values, visitor=visitor, clips=clips, corrections=corrected))
        return html, above


def parts(how: str, seconds: float | None) -> Literal["shots"] | float:
    """What the choice of parts stands for."""
    return "shots" if how == "shots" else float(seconds or DEFAULT_SECONDS)


def run_timeline(films: Iterator[Seen], stopped: threading.Event) -> Iterator[tuple[Any, ...]]:
    """The list, the progress and, at the end, what was told; a refusal after some parts keeps these, and so does
    stopping."""
    now, pace = Told(parts=True), Pace()
    html, held, picture, failed, began = as_list(now), None, "", "", time.monotonic()
    yield html, progress(strings.TIMELINE_START, 0.0), now
    with contextlib.closing(films):  # type: ignore[type-var]
        try:
            for seen in films:
                certain, following = merge_next(held, seen.caption)
                if certain is not None:
                    now = now.add(certain, picture)
                    html += f"<li>{_item(now, len(now.captions) - 1)}</li>"
                if certain is not None or held is None:
                    picture = thumbnail(seen.frames, len(seen.frames.pixels) // 2, squashed=seen.squashed)
                held = following
                if stopped.is_set():
                    break
                if pace.due():
                    # Only ever longer: gradio then sends what is new, not the whole list.
                    yield html, _progress(seen, counted(len(now.captions), "caption"), began), Told()
        except CaptionerError as error:
            if held is None:
                raise
            failed = sentence(error)
    if held is not None:
        now = now.add(held, picture)
    yield as_list(now), _last(counted(len(now.captions), "caption"), failed, stopped.is_set()), now


def _last(captions: str, failed: str, stopped: bool) -> str:
    if failed:
        return progress(strings.TIMELINE_FAILED.format(reason=failed, captions=captions), None)
    if stopped:
        return progress(strings.TIMELINE_STOPPED.format(captions=captions), None)
    return progress(strings.TIMELINE_DONE.format(captions=captions), 1.0)


def _progress(seen: Seen, captions: str, began: float) -> str:
    """How far a run has come and how long the rest will take, as HTML."""
    done, whole = end_of(seen.caption), seen.frames.duration_seconds
    if not whole or done <= 0:
        return progress(strings.TIMELINE_PROGRESS_OPEN.format(captions=captions, done=clock(done)), None)
    share = min(1.0, done / whole)
    left = clock((time.monotonic() - began) * (1 - share) / share)
    said = strings.TIMELINE_PROGRESS.format(captions=captions, done=clock(done), whole=clock(whole), left=left)
    return progress(said, share)


def as_list(now: Told) -> str:
    """The captions as a list; a choice seeks the player, and they are its subtitles."""
    start = f'<ol class="cap-timeline" data-player="{PLAYER}" data-cues="{PLAYER}" aria-label="{strings.TIMELINE}">'
    return start + "".join(
        f"<li>{_item(now, i)}{correct_button(caption, i, of=clock(caption.start_seconds))}</li>"
        for i, caption in enumerate(now.captions)
    )


def _item(now: Told, index: int) -> str:
    caption = now.captions[index]
    return (
        f'<button type="button" class="cap-jump" {cue(caption)}><img src="{now.pictures[index]}" alt="">'
        f'<span class="cap-when">{clock(caption.start_seconds)} – {clock(end_of(caption))}</span>'
        f'<span class="cap-what">{said(caption)}</span>{sure(now, index)}</button>'
    )
