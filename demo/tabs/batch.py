"""The Batch tab: several files, a table, one download; a bad file is a row with its reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.caption.result import Caption
from captioner.errors import VideoError, counted
from captioner.outputs.rows import row
from demo import strings
from demo.components.downloads import as_csv, as_json, links, subtitles_of
from demo.components.panel import panel, settings
from demo.components.result import empty, progress, said, sure, table
from demo.components.runs import LongRun, Pace
from demo.components.tools import correct_button, kept, learnt, wire_corrections
from demo.components.wiring import area, columns
from demo.components.words import clock
from demo.engine import Engine, Settings
from demo.limits import Refusal, check_files, sentence
from demo.visit.correction import Corrections, Told
from demo.visit.shelf import Clip, Kept, Shelf, Tab

ID = "batch"


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a caption, which stands in :class:`Told`, or the reason why there is none."""

    file: Path
    reason: str = ""


Outcomes = tuple[Outcome, ...]


def batch_tab(engine: Engine, *, shelf: Shelf, corrections: gr.State) -> Tab:
    """Draw the tab inside the running Blocks."""
    left, right = columns(ID)
    with left:
        files = gr.File(label=strings.FILES, file_count="multiple", elem_id="batch-files", height=220)
        run = LongRun(engine.films, strings.RUN_BATCH, elem_id="batch")
        chosen = panel(engine, span=False)
    with right:
        run.status()
        made = area(elem_id="batch-files-made")
        listed = area(empty(strings.EMPTY_BATCH), elem_id="batch-result", events=("corrected",))
    outcomes, result = gr.State(()), gr.State(Told())
    work = _Work(engine, shelf)
    shown = [listed, made, outcomes, result]
    run.wire(work.batch, [files, corrections, *chosen.components], shown)
    wire_corrections(listed, work.keep, shelf, states=[result, corrections], held=outcomes, shown=[listed, made])
    return Tab(ID, shown)


class _Work:
    """What the tab does."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self._engine, self._shelf = engine, shelf

    def batch(
        self, visitor: str, stopped: threading.Event, uploads: list[str] | None, corrected: Corrections, *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Caption the files; the Find tab finds what was captioned before a run broke off too."""
        outcomes: Outcomes = ()
        now = blank = Told(name=self._shelf.name())
        status: Any = gr.skip()
        files = check_files(uploads, self._engine.limits)
        try:
            for outcomes, now, status in _run(self._engine, files, settings(*values), stopped, blank):
                yield _table(outcomes, now, finished=False), "", gr.skip(), gr.skip(), status
        finally:
            shown = self.keep(visitor, now, corrected, outcomes)
        yield *shown, outcomes, now, status

    def keep(self, visitor: str, now: Told, corrected: Corrections, outcomes: Outcomes) -> tuple[str, str]:
        """Put the result on the shelf; returns the table, and what stands above it."""
        above = _downloads(outcomes, now) + learnt(corrected) + (kept(now, strings.TAB_BATCH) if now.captions else "")
        shown = _table(outcomes, now), above
        clips = tuple(Clip(file=str(o.file), captions=(caption,)) for o, caption in _paired(outcomes, now) if caption)
        if outcomes:
            values = (*shown, outcomes, now)
            self._shelf.put(now.name, Kept(tab=ID, values=values, visitor=visitor, clips=clips, corrections=corrected))
        return shown


def _run(
    engine: Engine, files: list[Path], wanted: Settings, stopped: threading.Event, now: Told
) -> Iterator[tuple[Outcomes, Told, str]]:
    """What became of the files so far, their captions, and the progress."""
    pace, count, outcomes = Pace(), len(files), list[Outcome]()
    for file, made in _captions(engine, files, wanted):
        outcomes.append(Outcome(file, made if isinstance(made, str) else ""))
        now = now if isinstance(made, str) else replace(now, captions=(*now.captions, made))
        if stopped.is_set():
            break
        if pace.due():
            done = strings.BATCH_PROGRESS.format(done=len(outcomes), files=counted(count, "file"))
            yield tuple(outcomes), now, progress(done, len(outcomes) / count)
    good = len(now.captions)
    last = progress(strings.BATCH_DONE.format(good=good, bad=len(outcomes) - good), 1.0)
    if len(outcomes) < count:
        last = progress(strings.BATCH_STOPPED.format(files=counted(len(outcomes), "file")), None)
    yield tuple(outcomes), now, last


def _captions(engine: Engine, files: list[Path], wanted: Settings) -> Iterator[tuple[Path, Caption | str]]:
    """Each file with its caption, or with the reason why there is none."""
    limits = engine.limits
    late = time.monotonic() + limits.run_seconds
    for file in files:
        if time.monotonic() > late:
            yield file, strings.RUN_TOO_LONG.format(minutes=limits.run_seconds / 60)
            continue
        try:
            yield file, engine.caption(str(file), wanted).caption
        except (VideoError, Refusal) as error:
            yield file, sentence(error)


def _paired(outcomes: Outcomes, now: Told) -> list[tuple[Outcome, Caption | None]]:
    captions = iter(now.captions)
    return [(outcome, None if outcome.reason else next(captions)) for outcome in outcomes]


def _table(outcomes: Outcomes, now: Told, *, finished: bool = True) -> str:
    """A row for each file; once the run is ``finished``, each caption can be corrected."""
    rows, number = [], 0
    for outcome, caption in _paired(outcomes, now):
        name = escape(outcome.file.name)
        if caption is None:
            rows.append((name, f'<span class="cap-refused">{escape(outcome.reason)}</span>', ""))
            continue
        button = correct_button(caption, number, of=outcome.file.name) if finished else ""
        rows.append((name, f"{said(caption)} {button}{_scene(caption)}", sure(now, number)))
        number += 1
    return table(strings.BATCH_COLUMNS, rows, label=strings.BATCH)


def _scene(caption: Caption) -> str:
    if caption.scene_seconds is None:
        return ""
    start, end = map(clock, caption.scene_seconds)
    return f'<p class="cap-note">{strings.SCENE.format(start=start, end=end)}</p>'


def _downloads(outcomes: Outcomes, now: Told) -> str:
    if not outcomes:
        return ""
    paired = _paired(outcomes, now)
    found = [row(caption) if caption else {"path": o.file.name, "error": o.reason} for o, caption in paired]
    rows = (
        (o.file.name, *_facts(caption), "", caption.model) if caption else (o.file.name, *[""] * 5, o.reason, "")
        for o, caption in paired
    )
    files: dict[str, str | bytes] = {
        "captions.csv": as_csv(strings.BATCH_CSV_COLUMNS, rows),
        "captions.json": as_json(found),
        "subtitles.zip": subtitles_of(now.captions),
    }
    return links(files, label=strings.DOWNLOAD)


def _facts(caption: Caption) -> tuple[Any, ...]:
    scene = " ".join(f"{seconds:.3f}" for seconds in caption.scene_seconds or ())  # as captioner caption -f csv has it
    return caption.text, f"{caption.confidence:.4f}", caption.start_seconds, caption.end_seconds, scene
