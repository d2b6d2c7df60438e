"""Rendered clips whose label is the order of their frames: no single frame, and no mean of frames, tells it.

Each clip is rendered once and written twice, forwards and backwards, with opposite labels. So whatever does not know
the order can do no better than chance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner.manifest import Clip
from data.shapes import COLOURS, COUNTS, FRAMES, SHAPES, Scene, clips_wanted, draw, look, write_clip
from data.sources import progress

OPPOSITES = (
    ("moves right", "moves left"),
    ("grows", "shrinks"),
    ("circle before square", "square before circle"),
)


def order(
    out: str | Path,
    *,
    train: int = 600,
    val: int = 120,
    test: int = 300,
    seed: int = 1,
    size: int = 96,
    overwrite: bool = False,
) -> tuple[Clip, ...]:
    """Render ``out/clips/<split>-<number>.mp4``; numbers are rounded up to whole sets of six labels."""
    numbers = clips_wanted(train=train, val=val, test=test)
    folder = Path(out).resolve() / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    plan = [(split, i) for split, number in numbers.items() for i in range(-(-number // 6) * 3)]
    clips = []
    for split, number in progress(plan, what="pairs rendered"):
        generator = np.random.default_rng([seed, list(numbers).index(split), number])
        pair = OPPOSITES[number % len(OPPOSITES)]
        frames = _render(pair[0], generator, size=size)
        for label, shown, way in ((pair[0], frames, "forwards"), (pair[1], frames[::-1], "backwards")):
            name = f"{split}-{number:05}-{way}"
            write_clip(folder / f"{name}.mp4", np.ascontiguousarray(shown), each_alone=True, overwrite=overwrite)
            clips.append(Clip(id=name, path=folder / f"{name}.mp4", split=split, labels=(label,)))
    return tuple(clips)


def _render(label: str, generator: np.random.Generator, *, size: int) -> NDArray[np.uint8]:
    colour = str(generator.choice(list(COLOURS)))
    if label != OPPOSITES[2][0]:
        count = 1 + int(generator.integers(len(COUNTS)))
        scene = Scene(shape=str(generator.choice(SHAPES)), colour=colour, motion=label, count=count)
        return draw(scene, look(scene, generator, size=size))
    style = look(Scene(shape="square", colour=colour, motion="spins", count=1), generator, size=size)
    circle, square = (draw(Scene(shape=s, colour=colour, motion="spins", count=1), style) for s in ("circle", "square"))
    return np.concatenate([circle[: FRAMES // 2], square[FRAMES // 2 :][::-1]])
