"""What came of the trials of a search: the best, a table, a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.errors import CaptionerError
from captioner.outputs import svg


@dataclass(frozen=True)
class Trial:
    """One setting that was tried."""

    number: int
    values: dict[str, Any]
    score: float | None
    """The score that chooses a checkpoint, at its best; None for one that was stopped before it was validated."""
    state: str
    """``complete``, ``pruned``, ``running`` or ``fail``."""
    seconds: float | None


def best_of(trials: Iterable[Trial]) -> Trial:
    """The complete trial of the highest score; raises CaptionerError where there is none."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.score is not None]
    if not complete:
        raise CaptionerError("no trial finished; see the reasons above")
    return max(complete, key=lambda trial: trial.score or -math.inf)


def table(trials: Sequence[Trial]) -> str:
    """The trials, best first, as text."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    rows = [["trial", "score", "state", "seconds", *names]]
    for trial in sorted(
        trials, key=lambda t: (t.state != "complete", -(t.score if t.score is not None else -math.inf))
    ):
        score = "" if trial.score is None else f"{100 * trial.score:.2f}"
        seconds = "" if trial.seconds is None else f"{trial.seconds:.0f}"
        settings = [f"{v:.4g}" if isinstance(v := trial.values.get(name, ""), float) else str(v) for name in names]
        rows.append([str(trial.number), score, trial.state, seconds, *settings])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def picture(trials: Sequence[Trial]) -> str:
    """An SVG of the scores in the order of the trials, and the best so far as a line."""
    scored = [trial for trial in trials if trial.score is not None]
    width, height, left, floor, top = 640, 260, 56, 220, 20
    scores = [100 * (trial.score or 0) for trial in scored] or [0.0]
    low, high = min(scores), max(max(scores), min(scores) + 1e-6)
    last = max([1, *(trial.number for trial in scored)])

    def at(trial: Trial, score: float) -> tuple[float, float]:
        x = left + (width - left - 20) * trial.number / last
        return x, floor - (floor - top) * (score - low) / (high - low)

    best, line, dots = -math.inf, [], []
    for trial, score in zip(scored, scores, strict=False):
        if trial.state == "complete":
            best = max(best, score)
            line.append(at(trial, best))
        settings = ", ".join(f"{name} = {value}" for name, value in trial.values.items())
        told = svg.title(f"trial {trial.number}: {score:.2f} ({trial.state}); {settings}")
        fill = "#0b62a8" if trial.state == "complete" else "none"
        dots.append(svg.circle(*at(trial, score), 4, told, stroke="#0b62a8", fill=fill))
    return svg.drawing(
        width,
        height,
        svg.tag("path", d=f"M{left},{top}V{floor}H{width - 20}", fill="none", stroke="#999"),
        svg.text(left - 6, top + 4, f"{high:.1f}", text_anchor="end"),
        svg.text(left - 6, floor, f"{low:.1f}", text_anchor="end"),
        svg.text((left + width) / 2, height - 12, "trial (hollow: pruned)", text_anchor="middle"),
        svg.polyline(line, fill="none", stroke="#9a3412", stroke_width=1.5),
        *dots,
    )
