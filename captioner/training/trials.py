"""What came of the trials of a search: the best, a table, a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.errors import CaptionerError


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
        raise CaptionerError("no trial came to its end; see the reasons above")
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

    def at(trial: Trial, score: float) -> str:
        x = left + (width - left - 20) * trial.number / last
        return f"{x:.1f},{floor - (floor - top) * (score - low) / (high - low):.1f}"

    best, line, dots = -math.inf, [], []
    for trial, score in zip(scored, scores, strict=False):
        if trial.state == "complete":
            best = max(best, score)
            line.append(at(trial, best))
        x, y = at(trial, score).split(",")
        settings = ", ".join(f"{name} = {value}" for name, value in trial.values.items())
        fill = "#0b62a8" if trial.state == "complete" else "none"
        dots.append(
            f'<circle cx="{x}" cy="{y}" r="4" stroke="#0b62a8" fill="{fill}">'
            f"<title>trial {trial.number}: {score:.2f} ({trial.state}); {settings}</title></circle>"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<path d="M{left},{top}V{floor}H{width - 20}" fill="none" stroke="#999"/>'
        f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{high:.1f}</text>'
        f'<text x="{left - 6}" y="{floor}" text-anchor="end">{low:.1f}</text>'
        f'<text x="{(left + width) / 2}" y="{height - 12}" text-anchor="middle">trial (hollow: pruned)</text>'
        f'<polyline points="{" ".join(line)}" fill="none" stroke="#9a3412" stroke-width="1.5"/>'
        + "".join(dots)
        + "</svg>\n"
    )
