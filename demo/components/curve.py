"""A score over time as a curve: a press on it seeks the player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from demo import strings
from demo.components.words import clock

WIDTH, HEIGHT = 1000, 160
_POINTS = 1000


def as_curve(moments: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], *, threshold: float) -> str:
    """The scores (of many, the largest of each of 1,000 spans), the events as bands, the threshold as a line."""
    scores = np.array([moment["score"] for moment in moments])
    spans = np.array_split(scores, min(_POINTS, len(scores)))
    peaks = np.array([part.max() for part in spans])
    first, last = moments[0]["seconds"], max(moments[-1]["seconds"], moments[0]["seconds"] + 1e-3)
    top = 1.1 * max(threshold, float(peaks.max()))

    def x(seconds: float) -> float:
        return WIDTH * (seconds - first) / (last - first)

    def y(score: float) -> float:
        return HEIGHT * (1 - score / top)

    bands = "".join(
        f'<rect x="{x(event["start_seconds"]):.1f}" y="0" height="{HEIGHT}" '
        f'width="{max(3.0, x(event["end_seconds"]) - x(event["start_seconds"])):.1f}"/>'
        for event in events
    )
    places = np.linspace(0, WIDTH, len(peaks))
    points = " ".join(f"{place:.1f},{y(float(peak)):.1f}" for place, peak in zip(places, peaks, strict=True))
    return (
        f'<div class="cap-curve" role="slider" tabindex="0" aria-label="{strings.CURVE}" aria-valuemin="{first:.3f}" '
        f'aria-valuemax="{last:.3f}" aria-valuenow="{first:.3f}" aria-valuetext="{clock(first)}">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'{bands}<polyline points="{points}"/>'
        f'<line x1="0" x2="{WIDTH}" y1="{y(threshold):.1f}" y2="{y(threshold):.1f}"/></svg>'
        f'<p class="cap-ends"><span>{clock(first)}</span><span>{clock(last)}</span></p></div>'
    )
