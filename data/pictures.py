"""Rendered pictures that show nothing of the world: slides, titles, terminals, charts, pages, test cards, cartoons.

A captioner learns from them what not to trust itself with (``data.pictures`` of its recipe). Every picture has its own
size, colours, layout and text, drawn by a seed.
"""

from __future__ import annotations

import io
import math
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import DataError
from captioner.manifest import Clip
from captioner.safe.whole import write_whole
from data.sources import progress

Colour = tuple[int, int, int]
SIZES = ((640, 360), (640, 480), (512, 512), (360, 640), (854, 480))


class Sheet:
    """A picture that is being drawn: places and lengths are shares of its width and height."""

    def __init__(self, rng: np.random.Generator, *, size: tuple[int, int] | None = None) -> None:
        try:
            from PIL import Image, ImageDraw
        except ImportError:
            raise DataError("pillow is needed to render pictures; pip install pillow") from None
        self.rng = rng
        self.width, self.height = size or SIZES[rng.integers(len(SIZES))]
        self.ground = self.shade() if rng.random() < 0.35 else self.dark() if rng.random() < 0.5 else self.light()
        self.ink = self.light() if sum(self.ground) < 380 else self.dark()
        self.image = Image.new("RGB", (self.width, self.height), self.ground)
        self.draw: Any = ImageDraw.Draw(self.image)

    def shade(self) -> Colour:
        red, green, blue = self.rng.integers(0, 256, 3).tolist()
        return red, green, blue

    def light(self) -> Colour:
        red, green, blue = self.rng.integers(215, 256, 3).tolist()
        return red, green, blue

    def dark(self) -> Colour:
        red, green, blue = self.rng.integers(0, 70, 3).tolist()
        return red, green, blue

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return left * self.width, top * self.height, right * self.width, bottom * self.height

    def words(self, count: int) -> str:
        """So many made-up words."""
        letters = list(string.ascii_lowercase)
        made = ["".join(self.rng.choice(letters, self.rng.integers(2, 11))) for _ in range(count)]
        return " ".join(word.capitalize() if self.rng.random() < 0.3 else word for word in made)

    def write(self, left: float, top: float, text: str, *, height: float, fill: Colour | None = None) -> None:
        from PIL import ImageFont

        font = ImageFont.load_default(max(8, height * self.height))
        self.draw.text((left * self.width, top * self.height), text, fill=fill or self.ink, font=font)


def title(sheet: Sheet) -> None:
    """A few large words, perhaps on a gradient."""
    if sheet.rng.random() < 0.4:
        other = sheet.shade()
        for row in range(sheet.height):
            share = row / sheet.height
            mixed = tuple(round(a * (1 - share) + b * share) for a, b in zip(sheet.ground, other, strict=True))
            sheet.draw.line((0, row, sheet.width, row), fill=mixed)
    top = sheet.between(0.1, 0.5)
    for _ in range(sheet.rng.integers(1, 4)):
        height = sheet.between(0.06, 0.2)
        sheet.write(sheet.between(0.03, 0.4), top, sheet.words(int(sheet.rng.integers(1, 4))), height=height)
        top += 1.3 * height


def slide(sheet: Sheet) -> None:
    """A heading and bullets, perhaps a bar of colour and a box."""
    if sheet.rng.random() < 0.5:
        sheet.draw.rectangle(sheet.box(0, 0, 1, sheet.between(0.1, 0.25)), fill=sheet.shade())
    sheet.write(sheet.between(0.03, 0.2), 0.05, sheet.words(3), height=sheet.between(0.06, 0.12))
    height, left, top = sheet.between(0.03, 0.07), sheet.between(0.04, 0.15), 0.28
    while top < 0.85:
        sheet.write(left, top, "- " + sheet.words(int(sheet.rng.integers(2, 8))), height=height)
        top += sheet.between(1.4, 2.2) * height
    if sheet.rng.random() < 0.4:
        sheet.draw.rectangle(sheet.box(0.6, 0.4, 0.95, 0.85), fill=sheet.shade(), outline=sheet.ink)


def terminal(sheet: Sheet) -> None:
    """Lines of text from the left edge, perhaps in a window with a bar."""
    edge, top = (sheet.between(0, 0.15), 0.02) if sheet.rng.random() < 0.5 else (0.0, 0.02)
    if edge:
        sheet.draw.rectangle(sheet.box(edge, edge, 1 - edge, 1 - edge), fill=sheet.dark())
        sheet.draw.rectangle(sheet.box(edge, edge, 1 - edge, edge + 0.06), fill=sheet.shade())
        sheet.ink, top = sheet.light(), edge + 0.08
    height, colours = sheet.between(0.025, 0.05), [sheet.ink, sheet.ink, sheet.light() if edge else sheet.shade()]
    while top < 0.95 - edge and sheet.rng.random() < 0.97:
        text = sheet.words(int(sheet.rng.integers(1, 9)))[: int(60 * (1 - 2 * edge))]
        indent = 0.03 * sheet.rng.integers(0, 4)
        sheet.write(edge + 0.01 + indent, top, text, height=height, fill=colours[sheet.rng.integers(3)])
        top += 1.25 * height


def chart(sheet: Sheet) -> None:
    """Bars, lines or a pie, with axes and labels."""
    sheet.write(sheet.between(0.1, 0.4), 0.02, sheet.words(3), height=0.06)
    kind, count = sheet.rng.integers(3), int(sheet.rng.integers(3, 12))
    if kind == 2:
        start = 0.0
        box, ends = sheet.box(0.25, 0.2, 0.75, 0.9), np.cumsum(sheet.rng.dirichlet(np.ones(count)))
        for end in (360 * ends).tolist():
            sheet.draw.pieslice(box, start, end, fill=sheet.shade(), outline=sheet.ink)
            start = end
        return
    for i in range(6):
        sheet.draw.line(sheet.box(0.1, 0.15 + 0.14 * i, 0.95, 0.15 + 0.14 * i), fill=(150, 150, 150))
        sheet.write(0.02, 0.13 + 0.14 * i, str(100 - 20 * i), height=0.035)
    sheet.draw.line(sheet.box(0.1, 0.12, 0.1, 0.87), fill=sheet.ink, width=2)
    for _ in range(sheet.rng.integers(1, 4)):
        fill = sheet.shade()
        heights = np.clip(0.5 + np.cumsum(sheet.rng.normal(0, 0.15, count)), 0.03, 0.97) * 0.7
        places = 0.12 + 0.8 * np.arange(count) / count
        if kind == 0:
            for x, y in zip(places, heights, strict=True):
                sheet.draw.rectangle(sheet.box(x, 0.85 - y, x + 0.6 / count, 0.85), fill=fill)
            break
        points = [(x * sheet.width, (0.85 - y) * sheet.height) for x, y in zip(places, heights, strict=True)]
        sheet.draw.line(points, fill=fill, width=int(sheet.rng.integers(1, 6)))


def page(sheet: Sheet) -> None:
    """A page or an application: bars, columns of text, boxes, buttons; or a table."""
    if sheet.rng.random() < 0.4:
        columns, rows = int(sheet.rng.integers(3, 8)), int(sheet.rng.integers(5, 16))
        for row in range(rows):
            for column in range(columns):
                left, top = 0.02 + 0.96 * column / columns, 0.02 + 0.96 * row / rows
                box = sheet.box(left, top, left + 0.96 / columns, top + 0.96 / rows)
                sheet.draw.rectangle(box, outline=(150, 150, 150), fill=sheet.light() if row == 0 else None)
                sheet.write(left + 0.01, top + 0.01, str(sheet.rng.integers(10000)), height=0.45 / rows)
        return
    sheet.draw.rectangle(sheet.box(0, 0, 1, 0.08), fill=sheet.shade())
    sheet.write(0.02, 0.01, sheet.words(3), height=0.045, fill=sheet.light())
    side = sheet.between(0.1, 0.3)
    sheet.draw.rectangle(sheet.box(0, 0.08, side, 1), fill=sheet.light() if sum(sheet.ground) < 600 else sheet.shade())
    for top in np.arange(0.12, 0.95, sheet.between(0.05, 0.1)):
        sheet.write(side + 0.03, float(top), sheet.words(int(sheet.rng.integers(3, 9)))[:55], height=0.032)
    for _ in range(sheet.rng.integers(1, 6)):
        left, top = sheet.between(0.3, 0.8), sheet.between(0.1, 0.8)
        sheet.draw.rounded_rectangle(sheet.box(left, top, left + 0.18, top + 0.1), 8, fill=sheet.shade())


def card(sheet: Sheet) -> None:
    """A test card: bars, a grid, circles or a checkerboard."""
    kind, count = sheet.rng.integers(3), int(sheet.rng.integers(5, 13))
    for i in range(count):
        for j in range(1 if kind == 0 else count):
            box = sheet.box(i / count, j / count, (i + 1) / count, 1 if kind == 0 else (j + 1) / count)
            fill = (sheet.ground, sheet.ink)[(i + j) % 2] if kind == 1 else sheet.shade()
            sheet.draw.rectangle(box, fill=None if kind == 2 else fill, outline=sheet.ink if kind == 2 else None)
    for radius in (0.4, 0.25, 0.1)[: sheet.rng.integers(0, 4)]:
        centre, reach = (sheet.width / 2, sheet.height / 2), radius * sheet.height
        box = (centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach)
        sheet.draw.ellipse(box, outline=sheet.ink, fill=sheet.shade() if sheet.rng.random() < 0.3 else None, width=3)


def cartoon(sheet: Sheet) -> None:
    """Flat figures before a flat ground: heads, bodies, houses, trees, hills, a sun."""
    line = (0, 0, 0) if sheet.rng.random() < 0.6 else None
    sheet.draw.rectangle(sheet.box(0, sheet.between(0.5, 0.85), 1, 1), fill=sheet.shade())
    for _ in range(sheet.rng.integers(0, 3)):
        left, top = sheet.between(-0.3, 0.8), sheet.between(0.4, 0.7)
        sheet.draw.ellipse(sheet.box(left, top, left + sheet.between(0.4, 0.9), top + 0.8), fill=sheet.shade())
    for _ in range(sheet.rng.integers(1, 6)):
        x, y, size = sheet.between(0.05, 0.8), sheet.between(0.15, 0.65), sheet.between(0.08, 0.3)
        (figure, house, tree)[sheet.rng.integers(3)](sheet, x, y, size, line)


def figure(sheet: Sheet, x: float, y: float, size: float, line: Colour | None) -> None:
    """A head with eyes and a mouth on a body."""
    skin, tall = sheet.shade(), size * sheet.width / sheet.height
    sheet.draw.rounded_rectangle(
        sheet.box(x, y + 0.8 * tall, x + size, y + 2 * tall), 12, fill=sheet.shade(), outline=line, width=3
    )
    sheet.draw.ellipse(sheet.box(x, y, x + size, y + tall), fill=skin, outline=line, width=3)
    for eye in (0.25, 0.6):
        white = sheet.box(x + eye * size, y + 0.3 * tall, x + (eye + 0.18) * size, y + 0.5 * tall)
        sheet.draw.ellipse(white, fill=(255, 255, 255), outline=line)
        pupil = sheet.box(x + (eye + 0.06) * size, y + 0.36 * tall, x + (eye + 0.12) * size, y + 0.46 * tall)
        sheet.draw.ellipse(pupil, fill=(0, 0, 0))
    sheet.draw.arc(sheet.box(x + 0.3 * size, y + 0.5 * tall, x + 0.7 * size, y + 0.85 * tall), 0, 180, fill=(0, 0, 0))


def house(sheet: Sheet, x: float, y: float, size: float, line: Colour | None) -> None:
    """Walls, a roof, a door."""
    sheet.draw.rectangle(sheet.box(x, y + size, x + size, y + 2 * size), fill=sheet.shade(), outline=line, width=3)
    roof = [(x - 0.1 * size, y + size), (x + size / 2, y + 0.3 * size), (x + 1.1 * size, y + size)]
    sheet.draw.polygon([(a * sheet.width, b * sheet.height) for a, b in roof], fill=sheet.shade(), outline=line)
    sheet.draw.rectangle(sheet.box(x + 0.4 * size, y + 1.4 * size, x + 0.6 * size, y + 2 * size), fill=sheet.shade())


def tree(sheet: Sheet, x: float, y: float, size: float, line: Colour | None) -> None:
    """A trunk and a round crown, or a star of rays that may be a sun."""
    if sheet.rng.random() < 0.3:
        centre = np.array([x * sheet.width, 0.3 * y * sheet.height])
        for angle in np.arange(0, 2 * math.pi, math.pi / 6):
            tip = centre + 0.7 * size * sheet.width * np.array([math.cos(angle), math.sin(angle)])
            sheet.draw.line((*centre, *tip), fill=(250, 200, 40), width=4)
    else:
        trunk = sheet.box(x + 0.4 * size, y + size, x + 0.6 * size, y + 2 * size)
        sheet.draw.rectangle(trunk, fill=(110, 70, 30), outline=line)
    sheet.draw.ellipse(sheet.box(x, y, x + size, y + 1.2 * size), fill=sheet.shade(), outline=line, width=3)


KINDS: tuple[Callable[[Sheet], None], ...] = (title, slide, terminal, chart, page, card, cartoon)


def render(number: int, *, seed: int = 0) -> np.ndarray:
    """Picture ``number``: (H, W, 3) uint8. The kinds take turns."""
    sheet = Sheet(np.random.default_rng((seed, number)))
    KINDS[number % len(KINDS)](sheet)
    return np.asarray(sheet.image)


def pictures(
    out: Path, *, train: int = 700, val: int = 0, test: int = 0, seed: int = 1, overwrite: bool = False
) -> tuple[Clip, ...]:
    """Render ``out/pictures/<split>-<number>.jpg``, in JPEG of some quality."""
    from PIL import Image

    folder = Path(out).resolve() / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    plan = [(split, i) for split, count in (("train", train), ("val", val), ("test", test)) for i in range(count)]
    clips = []
    for place, (split, number) in enumerate(progress(plan, what="pictures rendered")):
        path, stream = folder / f"{split}-{number:05}.jpg", io.BytesIO()
        quality = int(np.random.default_rng((seed, place, 1)).integers(40, 96))
        Image.fromarray(render(place, seed=seed)).save(stream, "JPEG", quality=quality)
        write_whole(path, stream.getvalue(), overwrite=overwrite)
        clips.append(Clip(id=path.stem, path=path, split=split, labels=("rendered",)))
    return tuple(clips)
