"""A score over time as a curve: a press on it seeks the player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from captioner.outputs import svg
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

    def band(event: Mapping[str, Any]) -> str:
        begin, end = x(event["start_seconds"]), x(event["end_seconds"])
        return svg.rect(begin, 0, max(3.0, end - begin), HEIGHT)

    places = np.linspace(0, WIDTH, len(peaks))
    points = ((place, y(peak)) for place, peak in zip(places.tolist(), peaks.tolist(), strict=True))
    parts = [*map(band, events), svg.polyline(points), svg.line(0, y(threshold), WIDTH, y(threshold))]
    drawn = svg.picture(WIDTH, HEIGHT, *parts, preserveAspectRatio="none", aria_hidden="true")
    return (
        f'<div class="cap-curve" role="slider" tabindex="0" aria-label="{strings.CURVE}" aria-valuemin="{first:.3f}" '
        f'aria-valuemax="{last:.3f}" aria-valuenow="{first:.3f}" aria-valuetext="{clock(first)}">{drawn}'
        f'<p class="cap-ends"><span>{clock(first)}</span><span>{clock(last)}</span></p></div>'
    )
