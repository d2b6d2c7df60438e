"""The Evaluate tab: predictions and references in, the report of the evaluation harness out."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path

import gradio as gr

from demo import strings
from demo.child import Child
from demo.components.downloads import links
from demo.components.result import empty, refused, said_aloud, table
from demo.components.tools import noted
from demo.components.wiring import area, columns
from demo.limits import Limits, Refusal, told
from demo.visit.shelf import Kept, Shelf, Tab
from eval.report.table import coverage_line, diversity_lines, points
from eval.scores.evaluation import Evaluation, load_evaluation

ID = "evaluate"


def evaluate_tab(limits: Limits, *, shelf: Shelf) -> Tab:
    """Draw the tab inside the running Blocks."""
    left, right = columns(ID)
    with left:
        predictions = gr.File(label=strings.PREDICTIONS, elem_id="evaluate-predictions", height=140)
        references = gr.File(label=strings.REFERENCES, elem_id="evaluate-references", height=140)
        split = gr.Textbox(label=strings.SPLIT, info=strings.SPLIT_INFO, max_length=40)
        empties = gr.Checkbox(False, label=strings.MISSING)
        characters = gr.Checkbox(False, label=strings.CHARACTERS)
        run = gr.Button(strings.RUN_EVALUATE, variant="primary", elem_id="evaluate-run")
    with right:
        shown = area(empty(strings.EMPTY_EVALUATE), elem_id="evaluate-result")

    def evaluate(predictions: str | None, references: str | None, split: str, empties: bool, characters: bool) -> str:
        try:
            if not predictions or not references:
                raise Refusal(strings.NO_TEXTS)
            options = [f"--split={split.strip()}"] * bool(split.strip())
            options += ["--missing=empty"] * empties + ["--tokenize=char"] * characters
            evaluation, files = _score(Path(predictions), Path(references), options, limits)
            html = _report(evaluation, files)
            best, name = next(iter(evaluation.scores.items())), shelf.name()
            said = f"{best[0]} {points(best[1].score)}"
            html += noted(name, tab=strings.TAB_EVALUATE, file=Path(predictions).name, said=said)
            shelf.put(name, Kept(tab=ID, values=(html,)))
            return html
        except Exception as error:
            return refused(told(error)) + empty(strings.EMPTY_EVALUATE)

    run.click(
        evaluate,
        [predictions, references, split, empties, characters],
        shown,
        concurrency_id="scores",
        concurrency_limit=1,
        api_visibility="private",
    )
    return Tab(ID, [shown])


def _score(
    predictions: Path, references: Path, options: list[str], limits: Limits
) -> tuple[Evaluation, dict[str, str]]:
    """Score in a process of its own, which can be killed; the scores, and the files that it wrote."""
    if max(path.stat().st_size for path in (predictions, references)) > limits.text_megabytes * 2**20:
        raise Refusal(strings.TEXT_TOO_LARGE.format(limit=limits.text_megabytes))
    with tempfile.TemporaryDirectory(prefix="captioner-scores-") as folder:
        out = Path(folder)
        # Without images: a visitor's manifest could name files of the server, and none of these is opened.
        command = ["eval", "score", f"--report={folder}", "--no-images"]
        command += [f"--json={out / 'report.json'}", f"--csv={out / 'clips.csv'}"]
        command += [*options, str(predictions), str(references)]
        late = strings.EVALUATE_TOO_LONG.format(seconds=limits.evaluate_seconds)
        child = Child(command, names=(predictions, references), seconds=limits.evaluate_seconds, late=late)
        for _ in child.wait():
            pass
        if child.code:
            raise Refusal(child.said)
        files = {name: (out / name).read_text("utf-8") for name in ("report.html", "report.json", "clips.csv")}
        return load_evaluation(out / "report.json"), files


def _report(evaluation: Evaluation, files: dict[str, str]) -> str:
    rows = (
        (escape(name), f"<strong>{points(s.score)}</strong>", f"{points(s.low)} – {points(s.high)}")
        for name, s in evaluation.scores.items()
    )
    lines = [coverage_line(evaluation), *diversity_lines(evaluation).split("\n")]
    facts = "".join(f"<li>{escape(line)}</li>" for line in lines)
    warnings = "".join(f'<p class="cap-refused">{escape(warning)}</p>' for warning in evaluation.warnings)
    return (
        f"<section{said_aloud(strings.SCORES)}><h2>{strings.SCORES}</h2>"
        f"{table(strings.SCORE_COLUMNS, rows, label=strings.SCORES)}{warnings}"
        f'<ul class="cap-lines">{facts}</ul><p class="cap-note">{strings.SIGNATURE}: '
        f"<code>{escape(evaluation.signature)}</code></p>"
        f'{links(files, label=strings.DOWNLOAD)}<p class="cap-note">{strings.REPORT_NOTE}</p></section>'
    )
