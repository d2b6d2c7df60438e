"""The Batch tab: several files, a table, one download; a bad file is a row with its reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.caption.result import Caption
from captioner.errors import VideoError
from captioner.outputs.writers import row
from demo import strings
from demo.components.downloads import as_csv, as_json, links, subtitles_of
from demo.components.pace import Pace
from demo.components.panel import panel, settings
from demo.components.result import confidence, empty, progress, refused, table, waiting
from demo.components.stops import Stops, buttons
from demo.engine import Engine, Settings
from demo.limits import Refusal, sentence, told
from demo.visit.shelf import Clip, Kept, Shelf

ID = "batch"


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a caption, or the reason why there is none."""

    file: str
    caption: Caption | None
    reason: str

    @property
    def name(self) -> str:
        """The file's, without its folder."""
        return Path(self.file).name


def batch_tab(engine: Engine, *, shelf: Shelf) -> None:
    """Draw the tab inside the running Blocks."""
    stops = Stops()
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            files = gr.File(label=strings.FILES, file_count="multiple", elem_id="batch-files", height=220)
            with gr.Row():
                run = gr.Button(strings.RUN_BATCH, variant="primary", elem_id="batch-run")
                stop = gr.Button(strings.CANCEL, elem_id="batch-cancel", interactive=False)
            chosen = panel(engine, span=False)
        with gr.Column(scale=3, min_width=320):
            status = gr.HTML(elem_id="batch-status", js_on_load=None, apply_default_css=False)
            kept = gr.HTML(elem_id="batch-files-made", js_on_load=None, apply_default_css=False)
            shown = gr.HTML(
                empty(strings.EMPTY_BATCH), elem_id="batch-result", js_on_load=None, apply_default_css=False
            )

    def batch(visitor: gr.Request, uploads: list[str] | None, *values: Any) -> Iterator[tuple[Any, ...]]:
        outcomes, session = list[Outcome](), str(visitor.session_hash)
        try:
            with stops.run(session) as stopped, engine.films.join() as places:
                for place in waiting(places):
                    yield gr.skip(), place, "", *buttons(running=True)
                yield from _run(engine, uploads or [], settings(*values), stopped, outcomes)
        except Exception as error:
            yield gr.skip(), refused(told(error)), "", *buttons(running=False)
        finally:
            if clips := tuple(Clip(file=o.file, captions=(o.caption,)) for o in outcomes if o.caption):
                shelf.put(shelf.name(), Kept(tab=ID, values=(), visitor=session, clips=clips))

    def cancel(visitor: gr.Request) -> Any:
        stops.ask(str(visitor.session_hash))
        return gr.update(interactive=False)

    run.click(
        batch,
        [files, *chosen.components],
        [shown, status, kept, run, stop],
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
    stop.click(cancel, None, stop, queue=False, show_progress="hidden", api_visibility="private")


def _run(
    engine: Engine, uploads: list[str], wanted: Settings, stopped: threading.Event, outcomes: list[Outcome]
) -> Iterator[tuple[Any, ...]]:
    """The table, the progress, the downloads and the buttons, as files are done and come to ``outcomes``."""
    pace, count = Pace(), len(uploads)
    for outcome in _outcomes(engine, uploads, wanted):
        outcomes.append(outcome)
        if stopped.is_set():
            break
        if pace.due():
            said = strings.BATCH_PROGRESS.format(done=len(outcomes), count=count)
            yield _table(outcomes), progress(said, len(outcomes) / count), "", gr.skip(), gr.skip()
    bad = sum(outcome.caption is None for outcome in outcomes)
    last = progress(strings.BATCH_DONE.format(good=len(outcomes) - bad, bad=bad), 1.0)
    if len(outcomes) < count:
        last = progress(strings.BATCH_STOPPED.format(done=len(outcomes)), None)
    yield _table(outcomes), last, _downloads(outcomes), *buttons(running=False)


def _outcomes(engine: Engine, uploads: list[str], wanted: Settings) -> Iterator[Outcome]:
    limits = engine.limits
    if not uploads:
        raise Refusal(strings.NO_FILES)
    if len(uploads) > limits.batch_files:
        raise Refusal(strings.TOO_MANY.format(count=len(uploads), limit=limits.batch_files))
    late = time.monotonic() + limits.run_seconds
    for upload in uploads:
        if time.monotonic() > late:
            yield Outcome(upload, None, strings.RUN_TOO_LONG.format(minutes=limits.run_seconds / 60))
            continue
        try:
            yield Outcome(upload, engine.caption(upload, wanted).caption, "")
        except (VideoError, Refusal) as error:
            yield Outcome(upload, None, sentence(error))


def _table(outcomes: list[Outcome]) -> str:
    rows = (
        (escape(o.name), escape(o.caption.text), confidence(o.caption))
        if o.caption
        else (escape(o.name), f'<span class="cap-refused">{escape(o.reason)}</span>', "")
        for o in outcomes
    )
    return table(strings.BATCH_COLUMNS, rows, label=strings.BATCH)


def _downloads(outcomes: list[Outcome]) -> str:
    if not outcomes:
        return ""
    found = [row(o.caption) if o.caption else {"path": o.name, "error": o.reason} for o in outcomes]
    rows = (
        (o.name, c.text, f"{c.confidence:.4f}", c.start_seconds, c.end_seconds, "", c.model)
        if (c := o.caption)
        else (o.name, "", "", "", "", o.reason, "")
        for o in outcomes
    )
    files: dict[str, str | bytes] = {
        "captions.csv": as_csv(strings.BATCH_CSV_COLUMNS, rows),
        "captions.json": as_json(found),
        "subtitles.zip": subtitles_of([o.caption for o in outcomes if o.caption]),
    }
    return links(files, label=strings.DOWNLOAD)
