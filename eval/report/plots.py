"""The charts of a report, as SVG. Colours are the page's (CSS classes)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from captioner.errors import counted
from captioner.outputs.svg import Svg, circle, line, picture, polyline, rect, text, title
from eval.scores.reliability import Reliability

BINS = 20


def interval(score: float, low: float, high: float, *, top: float, other: float | None = None) -> Svg:
    """A dot on a line from ``low`` to ``high``, on a scale from 0 to ``top``; ``other`` is a tick (people, say).

    All in points. Charts with one ``top`` can be read against each other.
    """
    width, middle = 220, 11

    def x(value: float) -> float:
        return 6 + (width - 12) * min(max(value, 0.0), top) / top

    parts = [
        line(x(0), middle, x(top), middle, class_="axis"),
        line(x(low), middle, x(high), middle, class_="range"),
        circle(x(score), middle, 4.5, class_="dot"),
    ]
    label = f"{score:.2f}, 95 % interval {low:.2f} to {high:.2f}"
    if other is not None:
        label += f"; people {other:.2f}"
        parts.append(line(x(other), 2, x(other), 20, class_="people"))
    return picture(width, 22, *parts, class_="interval", label=label)


def histogram(values: Sequence[float], *, unit: str) -> Svg:
    """How many clips have which score: bars, the axis in round numbers, and the mean as a labelled line.

    ``values`` (at least one) in points; ``unit`` names them.
    """
    width, height, left, floor, ceiling = 360, 176, 8, 136, 30
    ticks = round_ticks(max(values))
    edges = np.linspace(0, ticks[-1], BINS + 1)
    counts = np.histogram(np.clip(values, 0, ticks[-1]), bins=edges)[0].tolist()
    mean, most = float(np.mean(values)), max(counts)
    wide = (width - 2 * left) / BINS

    def x(value: float) -> float:
        return left + (width - 2 * left) * value / ticks[-1]

    parts = []
    for i, count in enumerate(counts):
        tall = (floor - ceiling) * count / most
        told = title(f"{edges[i]:.0f} to {edges[i + 1]:.0f}: {counted(count, 'clip')}")
        parts.append(rect(left + i * wide + 0.5, floor - tall, wide - 1, tall, told, class_="bar"))
    parts.append(line(x(mean), 16, x(mean), floor, class_="mean"))
    peak = counts.index(most)
    summit = left + (peak + 0.5) * wide
    anchor = "start" if peak < 2 else "end" if peak > BINS - 3 else "middle"
    parts.append(text(summit, ceiling - 5, str(most), text_anchor=anchor))
    parts.append(line(left, floor, width - left, floor, class_="axis"))
    anchor, shift = ("end", -4) if mean > 0.6 * ticks[-1] else ("start", 4)
    above = 12 if abs(summit - x(mean)) < 40 else 24
    parts.append(text(x(mean) + shift, above, f"mean {mean:.1f}", text_anchor=anchor))
    for tick in ticks:
        anchor = "start" if tick == 0 else "end" if tick == ticks[-1] else "middle"
        parts.append(text(x(tick), floor + 16, f"{tick:g}", text_anchor=anchor))
    parts.append(text(width / 2, height - 6, unit, text_anchor="middle"))
    label = f"Histogram of {unit} over {counted(len(values), 'clip')}, mean {mean:.1f}"
    return picture(width, height, *parts, class_="histogram", label=label)


def reliability(found: Reliability, *, what: str) -> Svg:
    """A reliability diagram: confidence (across) against the share that is good (up), with a dot for each bin."""
    points = [(one.confidence, one.good) for one in found.bins]
    label = f"Reliability of the confidence of {found.clips} {what}, in {len(found.bins)} bins"
    width, height, left, right, top, floor = 360, 240, 44, 348, 14, 190

    def at(promised: float, came: float) -> tuple[float, float]:
        return left + (right - left) * promised, floor - (floor - top) * came

    parts = [
        line(*at(0, 0), *at(1, 1), class_="mean"),
        line(left, floor, right, floor, class_="axis"),
        line(left, top, left, floor, class_="axis"),
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(tick, tick)
        parts.append(text(x, floor + 16, f"{100 * tick:.0f}", text_anchor="middle"))
        parts.append(text(left - 6, y + 4, f"{100 * tick:.0f}", text_anchor="end"))
    parts.append(polyline((at(*point) for point in points), class_="curve"))
    for promised, came in points:
        told = title(f"promised {100 * promised:.0f} %, good {100 * came:.0f} %")
        parts.append(circle(*at(promised, came), 4, told, class_="dot"))
    middle = (top + floor) / 2
    parts.append(text((left + right) / 2, height - 12, "confidence, %", text_anchor="middle"))
    parts.append(text(12, middle, "good, %", text_anchor="middle", transform=f"rotate(-90 12 {middle})"))
    return picture(width, height, *parts, class_="histogram", label=label)


def round_ticks(largest: float) -> list[float]:
    """0 and three to six multiples of 1, 2 or 5 times a power of ten, the last at or above ``largest``."""
    if not largest > 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(largest / 3))
    step = next(power * m for m in (1, 2, 5, 10) if largest / (power * m) <= 5)
    return [i * step for i in range(math.ceil(largest / step - 1e-9) + 1)]


def heat(shares: Sequence[float], *, top: float, label: str) -> Svg:
    """A strip of cells, one for each frame. A cell is as dark as its share of the attention; ``top`` is darkest."""
    cells = [rect(i, 0, 1, 1, fill_opacity=min(1.0, share / top) if top > 0 else 0) for i, share in enumerate(shares)]
    width = max(1, len(shares))
    return picture(width, 1, title(label), *cells, class_="heat", preserveAspectRatio="none", label=label)


def matrix(shares: np.ndarray, labels: Sequence[str]) -> Svg:
    """A picture of a confusion matrix (C, C), shares of each row from 0 to 1. Each cell has a tooltip."""
    left, cell = 150, 14
    side = len(labels) * cell
    parts = []
    for row, true in enumerate(labels):
        y = row * cell
        parts.append(text(left - 6, y + 11, true, text_anchor="end", style="font-size:10px"))
        for column in np.flatnonzero(shares[row]).tolist():
            share = float(shares[row, column])
            told = title(f"{true}: {100 * share:.0f} % said to be {labels[column]}")
            shade = f"fill-opacity:{0.08 + 0.92 * share:.2f}"
            parts.append(rect(left + column * cell, y, cell - 1, cell - 1, told, class_="bar", style=shade))
    parts.append(rect(left, 0, side, side, fill="none", class_="axis"))
    wide = f"max-width:{left + side}px"
    return picture(left + side, side + 4, *parts, class_="histogram", style=wide, label="Confusion matrix")
