"""The Anomalies tab: learns from normal footage, scores a video; a curve of how abnormal it is seeks the player."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.anomalies.watcher import Watcher
from captioner.errors import counted
from data.walkway import walkway
from demo import strings
from demo.child import Child
from demo.components.curve import as_curve
from demo.components.downloads import links, stem
from demo.components.player import player, shown
from demo.components.result import empty, progress, said_aloud, working
from demo.components.runs import LongRun, turn
from demo.components.tools import noted
from demo.components.wiring import QUIET, area, columns
from demo.components.words import clock
from demo.engine import Engine
from demo.limits import Limits, Refusal, check_files
from demo.visit.shelf import Kept, Shelf, Tab
from demo.visit.uploads import swept_folder

ID = "anomalies"
PLAYER = "anomalies-player"
ALARMS = 6.0
"""False alarms an hour: clips are short here."""
STEPS, MOST_STEPS = 60, 240
"""Of training; the most is what the command line takes by itself."""
ENDING_SECONDS = 60.0
"""That a learning which is cancelled has, to tell its threshold and to save."""


def anomalies_tab(engine: Engine, *, shelf: Shelf) -> Tab:
    """Draw the tab inside the running Blocks."""
    limits = engine.limits
    left, right = columns(ID)
    with left:
        files = gr.File(label=strings.NORMAL, file_count="multiple", elem_id="anomalies-files", height=160)
        steps = gr.Slider(10, MOST_STEPS, STEPS, step=10, label=strings.STEPS, info=strings.STEPS_INFO)
        run = LongRun(engine.films, strings.RUN_LEARN, elem_id="anomalies-learn")
        sample = gr.Button(strings.SAMPLE_WALKWAY, elem_id="anomalies-sample")
        run.status()
        video = player(PLAYER, engine)
        alarms = gr.Number(ALARMS, label=strings.ALARMS, info=strings.ALARMS_INFO, minimum=0.01)
        score = gr.Button(strings.RUN_SCORE, variant="primary", elem_id="anomalies-run")
    with right:
        found = area(empty(strings.EMPTY_ANOMALIES), elem_id="anomalies-result")
    learnt = gr.State("")  # a folder, which is swept as uploads are

    def learn(_: str, stopped: threading.Event, uploads: list[str] | None, steps: float) -> Iterator[tuple[Any, str]]:
        yield from _learn(check_files(uploads, limits), steps, stopped, limits)

    def show(upload: str, alarms: float, held: str) -> Iterator[tuple[Any, ...]]:
        def work() -> tuple[str]:
            if not held or not Path(held).is_dir():
                raise Refusal(strings.NOTHING_LEARNT)
            html, name = _score(Path(upload), f"{held}/model", alarms, limits), shelf.name()
            html += noted(name, tab=strings.TAB_ANOMALIES, file=Path(upload).name, said=strings.CURVE)
            shelf.put(name, Kept(tab=ID, values=(upload, shown(upload), html, held)))
            return (html,)

        yield from turn(engine.films, upload, work, blank=(empty(strings.EMPTY_ANOMALIES),))

    run.wire(learn, [files, steps], [learnt])
    score.click(show, [video.held, alarms, learnt], [video.note, found], **QUIET)
    video.opened.then(lambda: empty(strings.EMPTY_ANOMALIES), None, found, **QUIET)
    sample.click(_sample, None, [files, video.held, video.stage], api_visibility="private")
    return Tab(ID, [video.held, video.stage, found, learnt])


def _child(limits: Limits, arguments: list[str], names: list[Path]) -> Child:
    late = strings.RUN_TOO_LONG.format(minutes=limits.run_seconds / 60)
    arguments = ["captioner", "anomalies", *arguments, f"--timeout={limits.decode_seconds}"]
    return Child(arguments, names=names, seconds=limits.run_seconds, late=late)


def _learn(paths: list[Path], steps: float, stopped: threading.Event, limits: Limits) -> Iterator[tuple[Any, str]]:
    """What the page shows while it learns in a process of its own; at the end the folder of what was learnt."""
    work, folder = strings.LEARNING.format(files=counted(len(paths), "file")), str(swept_folder("captioner-normal-"))
    child = _child(
        limits, ["learn", *map(str, paths), "-o", f"{folder}/model", f"--steps={steps:.0f}", "--quiet"], paths
    )
    for seconds in child.wait(stopped, ending_seconds=ENDING_SECONDS):
        yield gr.skip(), working(work, seconds, child.progress, ending=stopped.is_set())
    if Path(folder, "model").is_dir():
        yield folder, _learnt(Watcher.load(f"{folder}/model"), child.said)
        return
    if not stopped.is_set():
        raise Refusal(child.said)
    yield gr.skip(), progress(strings.LEARN_STOPPED, None)


def _learnt(watcher: Watcher, refused: str) -> str:
    """What was learnt from, and what could not be read."""
    source = watcher.checkpoint.learnt_from
    said = strings.LEARNT.format(files=counted(source["files"], "file"), seconds=source["seconds"])
    if "stopped" in source:
        said = f"{strings.LEARNT_SO_FAR.format(where=source['stopped'])} {said}"
    return progress(f"{said} {refused}".strip(), None)


def _sample() -> tuple[list[str], str, str]:
    """Rendered clips: normal ones, and one in which somebody walks the wrong way."""
    clips = walkway(str(swept_folder("captioner-walkway-")), train=3, val=1, test=1, seconds=45)
    paths = {clip.id: str(clip.path) for clip in clips}
    abnormal = paths.pop("test-000")
    return list(paths.values()), abnormal, shown(abnormal)


def _score(video: Path, model: str, alarms: float, limits: Limits) -> str:
    """Score one file in a process of its own, and show what it wrote."""
    watcher = Watcher.load(model, alarms_per_hour=alarms)
    with tempfile.TemporaryDirectory(prefix="captioner-scores-") as out:
        options = ["-m", model, "-o", out, "--format=csv,jsonl,events,vtt", f"--alarms-per-hour={alarms}", "--quiet"]
        child = _child(limits, ["score", str(video), *options], [video])
        for _ in child.wait():
            pass
        written = {path.name.removeprefix(f"{video.stem}."): path.read_text("utf-8") for path in Path(out).iterdir()}
    if "scores.jsonl" not in written:
        raise Refusal(child.said)
    moments = [json.loads(line) for line in written["scores.jsonl"].splitlines()]
    events = [json.loads(line) for line in written["events.jsonl"].splitlines()]
    name = stem(video.name)
    files = {f"{name}.csv": written["scores.csv"], f"{name}.vtt": written["anomalies.vtt"]}
    return shown_scores(moments, events, threshold=watcher.threshold, refused=child.said, files=files)


def shown_scores(
    moments: list[dict[str, Any]],
    events: list[dict[str, Any]],
    *,
    threshold: float,
    refused: str,
    files: dict[str, str],
) -> str:
    """The curve of a scored video and its events (HTML); ``refused``: what could not be read of it."""
    seconds = moments[-1]["seconds"]
    if events:
        said = strings.EVENTS_FOUND.format(count=len(events), seconds=seconds)
    else:
        highest = max(moment["score"] for moment in moments) / threshold
        said = strings.NOTHING_ABNORMAL.format(seconds=seconds, share=highest)
    broken = f'<p class="cap-refused">{escape(refused)}</p>' if refused else ""
    return (
        f'<section data-player="{PLAYER}"{said_aloud(said)}><p class="cap-sentence">{said}</p>{broken}'
        + as_curve(moments, events, threshold=threshold)
        + f'<p class="cap-note">{strings.CURVE_NOTE.format(threshold=strings.ALARM_LINE)}</p>'
        f'<ol class="cap-timeline" aria-label="{strings.EVENTS}">{"".join(map(_event, events))}</ol>'
        f"{links(files, label=strings.DOWNLOAD)}</section>"
    )


def _event(event: dict[str, Any]) -> str:
    said = strings.EVENT.format(place=event["place"], strength=event["strength"])
    return (
        f'<li><button type="button" class="cap-jump cap-event" data-seek="{event["peak_seconds"]:.3f}">'
        f'<span class="cap-when">{clock(event["start_seconds"])} – {clock(event["end_seconds"])}</span>'
        f"<span>{said}</span></button></li>"
    )
