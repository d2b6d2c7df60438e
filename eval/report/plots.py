"""Small inline SVG: numbers come in, markup that is safe to insert comes out. Colours are the page's (CSS classes)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

BINS = 20


def interval(score: float, low: float, high: float, *, top: float, other: float | None = None) -> Markup:
    """A dot on a line from ``low`` to ``high``, on a scale from 0 to ``top``; ``other`` is a tick (people, say).

    All in points. Charts with one ``top`` can be read against each other.
    """
    width, middle = 220, 11

    def x(value: float) -> str:
        return f"{6 + (width - 12) * min(max(value, 0.0), top) / top:.1f}"

    label = f"{score:.2f}, 95 % interval {low:.2f} to {high:.2f}" + ("" if other is None else f"; people {other:.2f}")
    parts = [
        f'<svg class="interval" viewBox="0 0 {width} 22" role="img" aria-label="{escape(label)}">',
        f'<line class="axis" x1="{x(0)}" x2="{x(top)}" y1="{middle}" y2="{middle}"/>',
        f'<line class="range" x1="{x(low)}" x2="{x(high)}" y1="{middle}" y2="{middle}"/>',
        f'<circle class="dot" cx="{x(score)}" cy="{middle}" r="4.5"/>',
    ]
    if other is not None:
        parts.append(f'<line class="people" x1="{x(other)}" x2="{x(other)}" y1="2" y2="20"/>')
    return Markup("".join(parts) + "</svg>")


def histogram(values: Sequence[float], *, unit: str) -> Markup:
    """How many clips have which score: bars, the axis in round numbers, and the mean as a labelled line.

    ``values`` (at least one) in points; ``unit`` names them.
    """
    width, height, left, floor, ceiling = 360, 176, 8, 136, 30
    ticks = round_ticks(max(values))
    edges = np.linspace(0, ticks[-1], BINS + 1)
    counts, _ = np.histogram(np.clip(values, 0, ticks[-1]), bins=edges)
    mean = float(np.mean(values))
    wide = (width - 2 * left) / BINS

    def x(value: float) -> float:
        return left + (width - 2 * left) * value / ticks[-1]

    label = f"Histogram of {unit} over {len(values)} clips, mean {mean:.1f}"
    parts = [f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">']
    most = int(counts.max())
    for i, count in enumerate(counts):
        tall = (floor - ceiling) * int(count) / most
        begin = left + i * wide
        title = f"{edges[i]:.0f} to {edges[i + 1]:.0f}: {count} clips"
        parts.append(
            f'<rect class="bar" x="{begin + 0.5:.1f}" y="{floor - tall:.1f}" width="{wide - 1:.1f}" '
            f'height="{tall:.1f}"><title>{title}</title></rect>'
        )
    parts.append(f'<line class="mean" x1="{x(mean):.1f}" x2="{x(mean):.1f}" y1="16" y2="{floor}"/>')
    peak = int(counts.argmax())
    near_mean = abs(left + (peak + 0.5) * wide - x(mean)) < 40
    parts.append(
        f'<text x="{left + (peak + 0.5) * wide:.1f}" y="{ceiling - 5}" '
        f'text-anchor="{"start" if peak < 2 else "end" if peak > BINS - 3 else "middle"}">{most}</text>'
    )
    parts.append(f'<line class="axis" x1="{left}" x2="{width - left}" y1="{floor}" y2="{floor}"/>')
    anchor, shift = ("end", -4) if mean > 0.6 * ticks[-1] else ("start", 4)
    parts.append(
        f'<text x="{x(mean) + shift:.1f}" y="{12 if near_mean else 24}" text-anchor="{anchor}">mean {mean:.1f}</text>'
    )
    for tick in ticks:
        anchor = "start" if tick == 0 else "end" if tick == ticks[-1] else "middle"
        parts.append(f'<text x="{x(tick):.1f}" y="{floor + 16}" text-anchor="{anchor}">{tick:g}</text>')
    parts.append(f'<text x="{width / 2}" y="{height - 6}" text-anchor="middle">{escape(unit)}</text>')
    return Markup("".join(parts) + "</svg>")


def reliability(points: Sequence[tuple[float, float]], *, label: str) -> Markup:
    """What was promised (across) and what came (up), a dot a bin; on the dashed line they are equal. All in 0..1."""
    width, height, left, right, top, floor = 360, 240, 44, 348, 14, 190

    def x(value: float) -> float:
        return left + (right - left) * value

    def y(value: float) -> float:
        return floor - (floor - top) * value

    parts = [
        f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">',
        f'<line class="mean" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>',
        f'<line class="axis" x1="{left}" x2="{right}" y1="{floor}" y2="{floor}"/>',
        f'<line class="axis" x1="{left}" x2="{left}" y1="{top}" y2="{floor}"/>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<text x="{x(tick):.1f}" y="{floor + 16}" text-anchor="middle">{100 * tick:.0f}</text>')
        parts.append(f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{100 * tick:.0f}</text>')
    path = " ".join(f"{x(promised):.1f},{y(came):.1f}" for promised, came in points)
    parts.append(f'<polyline class="curve" points="{path}"/>')
    for promised, came in points:
        title = f"promised {100 * promised:.0f} %, good {100 * came:.0f} %"
        parts.append(
            f'<circle class="dot" cx="{x(promised):.1f}" cy="{y(came):.1f}" r="4"><title>{title}</title></circle>'
        )
    parts.append(f'<text x="{(left + right) / 2}" y="{height - 12}" text-anchor="middle">confidence, %</text>')
    parts.append(
        f'<text x="12" y="{(top + floor) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {(top + floor) / 2})">good, %</text>'
    )
    return Markup("".join(parts) + "</svg>")


def round_ticks(largest: float) -> list[float]:
    """0 and three to six multiples of 1, 2 or 5 times a power of ten, the last at or above ``largest``."""
    if not largest > 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(largest / 3))
    step = next(power * m for m in (1, 2, 5, 10) if largest / (power * m) <= 5)
    return [i * step for i in range(math.ceil(largest / step - 1e-9) + 1)]


def heat(shares: Sequence[float], *, top: float, label: str) -> Markup:
    """A strip of cells, one a frame, as strong as its share of the attention; ``top`` is as strong as can be."""
    cells = "".join(
        f'<rect x="{i}" y="0" width="1" height="1" fill-opacity="{min(1.0, share / top) if top > 0 else 0:.2f}"/>'
        for i, share in enumerate(shares)
    )
    return Markup(
        f'<svg class="heat" viewBox="0 0 {max(1, len(shares))} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}"><title>{escape(label)}</title>{cells}</svg>'
    )


def matrix(shares: np.ndarray, labels: Sequence[str]) -> Markup:
    """A confusion matrix (C, C) of shares of each row, 0 to 1, as a picture; every cell tells itself on hovering."""
    count, left, cell = len(labels), 150, 14
    side = count * cell
    parts = [
        f'<svg class="histogram" style="max-width:{left + side}px" viewBox="0 0 {left + side} {side + 4}" role="img" '
        'aria-label="Confusion matrix">'
    ]
    for row, true in enumerate(labels):
        y = row * cell
        parts.append(
            f'<text x="{left - 6}" y="{y + 11}" text-anchor="end" style="font-size:10px">{escape(true)}</text>'
        )
        for column in np.flatnonzero(shares[row]).tolist():
            share = float(shares[row, column])
            title = f"{true}: {100 * share:.0f} % said to be {labels[column]}"
            parts.append(
                f'<rect class="bar" style="fill-opacity:{0.08 + 0.92 * share:.2f}" x="{left + column * cell}" y="{y}" '
                f'width="{cell - 1}" height="{cell - 1}"><title>{escape(title)}</title></rect>'
            )
    parts.append(f'<rect x="{left}" y="0" width="{side}" height="{side}" fill="none" class="axis"/>')
    return Markup("".join(parts) + "</svg>")
