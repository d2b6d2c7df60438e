"""Rendered surveillance of a walkway, for anomaly detection: people walk on two lanes; now and then something is wrong.

Normal: on the upper lane people walk to the right, on the lower to the left, each at their own pace. A test clip has
one of five anomalies. A person walks against the direction, walks at three times the pace, lies still or appears in the
middle of the way. Or a thing on wheels passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError
from captioner.manifest import Clip
from data.shapes import clips_wanted, write_clip
from data.sources import progress

KINDS = ("wrong way", "too fast", "another thing", "lying still", "from nowhere")
RATE = 10
WIDTH, HEIGHT = 192, 144
LANES = ((66.0, 1), (108.0, -1))
"""The height of each lane's feet, and its direction."""
_CLOTHES = ((150, 60, 50), (60, 80, 150), (70, 120, 70), (130, 110, 60), (110, 60, 120), (60, 60, 70))


@dataclass
class Figure:
    """Something on the way; all in pixels and seconds."""

    x: float
    y: float
    speed: float
    """To the right."""
    colour: tuple[int, int, int]
    begins: float
    ends: float
    kind: str = "walker"

    def at(self, seconds: float) -> float:
        return self.x + self.speed * (seconds - self.begins)


def walkway(
    out: str | Path,
    *,
    train: int = 8,
    val: int = 4,
    test: int = 20,
    seconds: int = 60,
    seed: int = 1,
    overwrite: bool = False,
) -> tuple[Clip, ...]:
    """Render ``out/clips/<split>-<number>.mp4``: normal footage for train and val, one anomaly in each test clip.

    Every fifth test clip has the same kind; a sixth group of as many test clips is normal. The manifest's ``abnormal``
    has the seconds, ``category`` the kind.
    """
    numbers = clips_wanted(train=train, val=val, test=test)
    if seconds < 20:
        raise DataError(f"the length {seconds} is too short; clips take at least 20 seconds")
    folder = Path(out).resolve() / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    plan = [(split, i) for split, count in numbers.items() for i in range(count)]
    clips = []
    for split, number in progress(plan, what="clips rendered"):
        generator = np.random.default_rng([seed, list(numbers).index(split), number])
        kind = KINDS[number % len(KINDS)] if split == "test" and number % 6 != 5 else None
        figures = _walkers(generator, seconds)
        span = _disturb(figures, kind, generator, seconds) if kind else None
        path = folder / f"{split}-{number:03}.mp4"
        write_clip(path, _draw(figures, generator, seconds), rate=RATE, overwrite=overwrite)
        clips.append(
            Clip(id=path.stem, path=path, split=split, category=kind or "normal", abnormal=(span,) if span else ())
        )
    return tuple(clips)


def _walkers(generator: np.random.Generator, seconds: int) -> list[Figure]:
    """People who enter at the start of their lane, on average one in four seconds a lane."""
    figures = []
    for height, way in LANES:
        begins = -10.0 + generator.exponential(3.0)
        while begins < seconds:
            speed = generator.uniform(18, 28)
            figures.append(
                Figure(
                    x=-12.0 if way > 0 else WIDTH + 12.0,
                    y=height + generator.uniform(-5, 5),
                    speed=way * speed,
                    colour=_CLOTHES[generator.integers(len(_CLOTHES))],
                    begins=begins,
                    ends=begins + (WIDTH + 24) / speed,
                )
            )
            begins += 1.2 + generator.exponential(3.0)
    return figures


def _disturb(figures: list[Figure], kind: str, generator: np.random.Generator, seconds: int) -> tuple[float, float]:
    """Add something of this kind; returns from when to when it can be seen."""
    height, way = LANES[generator.integers(2)]
    begins, pace = generator.uniform(0.3, 0.6) * seconds, generator.uniform(18, 28)
    colour = _CLOTHES[generator.integers(len(_CLOTHES))]
    x, speed, what = (-12.0 if way > 0 else WIDTH + 12.0), way * pace, "walker"
    ends = begins + (WIDTH + 24) / pace
    if kind == "wrong way":
        x, speed = WIDTH - x, -speed
    elif kind == "too fast":
        speed, ends = 3 * speed, begins + (WIDTH + 24) / (3 * pace)
    elif kind == "another thing":
        what, colour = "cart", (190, 160, 40)
    elif kind == "lying still":
        x, speed, what, ends = generator.uniform(40, WIDTH - 40), 0.0, "lying", begins + 8.0
    else:
        x = generator.uniform(0.35, 0.65) * WIDTH
        ends = begins + (WIDTH + 12 - x if way > 0 else x + 12) / pace
    figures.append(Figure(x=x, y=height, speed=speed, colour=colour, begins=begins, ends=ends, kind=what))
    inside = 12 / abs(speed) if speed else 0.0
    if kind == "from nowhere":
        return begins, begins + 1.0
    return begins + inside, min(ends - inside, float(seconds))


def _draw(figures: list[Figure], generator: np.random.Generator, seconds: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    ground = np.full((HEIGHT, WIDTH, 3), (96, 120, 88), np.float32)
    path = (rows > 40) & (rows < 122)
    ground[path] = (150, 146, 138)
    ground[(rows > 84) & (rows < 86)] = (190, 186, 178)
    scene = np.random.default_rng(7)  # the same place in every clip
    ground += scene.normal(0, 6, (HEIGHT // 4, WIDTH // 4, 1)).repeat(4, 0).repeat(4, 1)
    light = generator.uniform(0.92, 1.05)
    frames = np.empty((seconds * RATE, HEIGHT, WIDTH, 3), np.uint8)
    for i in range(len(frames)):
        now = i / RATE
        picture = ground * light
        for figure in figures:
            if figure.begins <= now <= figure.ends:
                _paint(picture, figure, now, rows, columns)
        noise = generator.normal(0, 2, (HEIGHT, WIDTH, 1)).astype(np.float32)
        frames[i] = np.clip(picture + noise, 0, 255)
    return frames


def _paint(
    picture: NDArray[np.float32], figure: Figure, now: float, rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> None:
    x, y = figure.at(now), figure.y

    def ellipse(cx: float, cy: float, a: float, b: float, colour: tuple[int, int, int]) -> None:
        down = slice(max(0, int(cy - 1.3 * b)), max(0, int(cy + 1.3 * b) + 2))
        across = slice(max(0, int(cx - 1.3 * a)), max(0, int(cx + 1.3 * a) + 2))
        inside = ((columns[down, across] - cx) / a) ** 2 + ((rows[down, across] - cy) / b) ** 2
        cover = np.clip(1.5 - inside, 0, 1)[..., None]
        picture[down, across] += cover * (np.array(colour, np.float32) - picture[down, across])

    if figure.kind == "cart":
        ellipse(x, y - 9, 13, 7, figure.colour)
        for wheel in (-8, 8):
            ellipse(x + wheel, y - 1, 3.5, 3.5, (30, 30, 30))
    elif figure.kind == "lying":
        ellipse(x, y - 3, 10, 3.5, figure.colour)
        ellipse(x + 11, y - 3, 3, 3, (205, 165, 140))
    else:
        step = np.sin(2 * np.pi * 1.6 * (now - figure.begins) + figure.x)
        for leg in (-1, 1):
            ellipse(x + 2.5 * leg * step, y - 3, 1.6, 4.5, (45, 45, 60))
        ellipse(x, y - 11, 4, 7, figure.colour)
        ellipse(x, y - 20, 3, 3.2, (205, 165, 140))
