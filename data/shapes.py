"""Small rendered clips with known captions, for tests and tutorials: "two red circles move left".

Every clip shows one to three equal shapes of one colour doing one thing, so each has exactly one true caption and
"exact match" is well defined. The sentence is read off :class:`Scene`; the pixels are drawn from it.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError
from captioner.manifest import Clip, write_manifest
from captioner.safe.whole import put, temporary_for
from data.join import check_files
from data.sources import progress

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {
    "red": (215, 45, 45),
    "green": (45, 170, 70),
    "blue": (50, 95, 230),
    "yellow": (235, 205, 50),
    "white": (235, 235, 235),
}
MOTIONS = {
    "moves left": "move left",
    "moves right": "move right",
    "grows": "grow",
    "shrinks": "shrink",
    "spins": "spin",
}
"""What one shape does -> what several do."""
COUNTS = ("a", "two", "three")
FRAMES, FRAMES_PER_SECOND = 18, 12
HELD_OUT = 15
"""Combinations that only ``val`` shows, and as many that only ``test`` shows; ``train`` has the rest."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One combination of words, and so one caption."""

    shape: str
    colour: str
    motion: str
    count: int

    @property
    def caption(self) -> str:
        """The one true sentence."""
        noun, verb = self.shape, self.motion
        if self.count > 1:
            noun, verb = ("crosses" if noun == "cross" else noun + "s"), MOTIONS[verb]
        return f"{COUNTS[self.count - 1]} {self.colour} {noun} {verb}"


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one clip shows its scene: all that differs between two renderings. Lengths are shares of the frame's side.

    The ranges drawn by :func:`look` keep shapes apart and inside the frame from the first frame to the last.
    """

    size: int
    """Side of the square frame in pixels."""
    background: NDArray[np.float32]
    """(size, size, 3), 0 to 255."""
    colour: NDArray[np.float32]
    """(3,), 0 to 255."""
    starts: NDArray[np.float32]
    """(count, 2): the centre (x, y) of each shape in the first frame."""
    radii: tuple[float, float]
    """Of the circle, in the first and in the last frame; the other shapes are scaled to look as large."""
    travel: float
    """Change of x from the first to the last frame."""
    turn: float
    """Radians turned from the first to the last frame."""


def scenes() -> dict[str, tuple[Scene, ...]]:
    """The combinations by split, the same for every seed: ``train``'s, those only in ``val``, those only in ``test``.

    A spinning circle looks like a still one and is left out: 285 combinations, 255 of them for training.
    """
    every = [
        Scene(shape=shape, colour=colour, motion=motion, count=count)
        for shape, colour, motion, count in product(SHAPES, COLOURS, MOTIONS, (1, 2, 3))
        if (shape, motion) != ("circle", "spins")
    ]
    random.Random("which combinations are held out").shuffle(every)
    return {
        "val": tuple(every[:HELD_OUT]),
        "test": tuple(every[HELD_OUT : 2 * HELD_OUT]),
        "train": tuple(every[2 * HELD_OUT :]),
    }


def render(
    out: str | Path, *, train: int = 1500, val: int = 96, test: int = 192, seed: int = 1, size: int = 96
) -> Path:
    """Render clips below ``out`` and write ``out/manifest.jsonl``; returns the manifest's path."""
    manifest = Path(out) / "manifest.jsonl"
    write_manifest(manifest, shapes(out, train=train, val=val, test=test, seed=seed, size=size))
    return manifest


def shapes(
    out: str | Path,
    *,
    train: int = 1500,
    val: int = 96,
    test: int = 192,
    seed: int = 1,
    size: int = 96,
    overwrite: bool = False,
) -> tuple[Clip, ...]:
    """Render ``out/clips/<split>-<number>.mp4``, H.264, ``size`` x ``size``, 1.5 s; the same seed, the same clips.

    ``train`` shows the training combinations, in turn. ``val`` and ``test`` alternate between training
    combinations in another rendering (category ``seen``) and combinations of their own that are in no other
    split (category ``unseen``).
    """
    numbers = clips_wanted(train=train, val=val, test=test)
    if size % 2 or not 48 <= size <= 1024:
        raise DataError(f"the size {size} is not an even number of pixels from 48 to 1024")
    if seed < 0:
        raise DataError(f"the seed {seed} is negative; it is any whole number from 0")
    folder = Path(out).resolve() / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    by_split = scenes()
    plan = [(split, i, *_choose(by_split, split, i)) for split, number in numbers.items() for i in range(number)]
    clips = []
    for split, number, scene, category in progress(plan, what="clips rendered"):
        name = f"{split}-{number:05}"
        # One generator a clip: asking for more clips of one split changes no other clip.
        generator = np.random.default_rng([seed, list(numbers).index(split), number])
        write_clip(folder / f"{name}.mp4", draw(scene, look(scene, generator, size=size)), overwrite=overwrite)
        clips.append(
            Clip(id=name, path=folder / f"{name}.mp4", split=split, captions=(scene.caption,), category=category)
        )
    check_files(clips)
    return tuple(clips)


def clips_wanted(**numbers: int) -> dict[str, int]:
    """How many clips of each split are to be rendered; raises DataError where that is none, or fewer."""
    if min(numbers.values()) < 0 or not any(numbers.values()):
        train, val, test = numbers.values()
        raise DataError(f"cannot render {train} train, {val} val and {test} test clips; ask for at least one")
    return numbers


def _choose(by_split: dict[str, tuple[Scene, ...]], split: str, number: int) -> tuple[Scene, str]:
    """The scene of a split's clip by its number, and whether training shows that combination."""
    if split == "train" or number % 2 == 0:
        chosen, category = by_split["train"], "seen"
    else:
        chosen, category = by_split[split], "unseen"
    # Odd and even numbers must both reach every scene of their list.
    turn = number if split == "train" else number // 2
    return chosen[turn % len(chosen)], category


def look(scene: Scene, generator: np.random.Generator, *, size: int) -> Look:
    """Draw at random what the caption does not tell: places, sizes, shades, background."""
    uniform = generator.uniform
    travel = turn = 0.0
    small, large = uniform(0.06, 0.08), uniform(0.17, 0.20)
    if scene.motion in ("moves left", "moves right"):
        radius = uniform(0.11, 0.13)
        radii = (radius, radius)
        travel = uniform(0.35, 0.5) * (1 if scene.motion == "moves right" else -1)
        starts = _lanes(scene.count, generator, reach=1.15 * radius, travel=travel)
    else:
        starts = _cells(scene.count, generator, jitter=0.02)
        middle = uniform(0.145, 0.165)
        radii = {"grows": (small, large), "shrinks": (large, small), "spins": (middle, middle)}[scene.motion]
        if scene.motion == "spins":
            # Half a turn at most: a square looks still when sampled once a quarter turn.
            turn = uniform(0.6, 1.0) * math.pi * (1 if uniform() < 0.5 else -1)
    shade = uniform(15, 60)
    noise = generator.normal(0, 3, (size, size, 1))
    return Look(
        size=size,
        background=np.clip(np.broadcast_to(shade + noise, (size, size, 3)), 0, 255).astype(np.float32),
        colour=np.clip(np.add(COLOURS[scene.colour], uniform(-12, 12, 3)), 0, 255).astype(np.float32),
        starts=starts.astype(np.float32),
        radii=radii,
        travel=travel,
        turn=turn,
    )


def _lanes(count: int, generator: np.random.Generator, *, reach: float, travel: float) -> NDArray[np.float64]:
    """Starts (count, 2) on different rows, such that ``travel`` to the side stays inside the frame."""
    rows = generator.permutation(3)[:count] / 3 + 1 / 6 + generator.uniform(-0.01, 0.01, count)
    low, high = reach + max(0.0, -travel), 1 - reach - max(0.0, travel)
    return np.stack([generator.uniform(low, high, count), rows], axis=1)


def _cells(count: int, generator: np.random.Generator, *, jitter: float) -> NDArray[np.float64]:
    """Centres (count, 2) in different quarters of the frame."""
    quarters = generator.permutation(4)[:count]
    centres = np.stack([0.26 + 0.48 * (quarters % 2), 0.26 + 0.48 * (quarters // 2)], axis=1)
    return centres + generator.uniform(-jitter, jitter, (count, 2))


def draw(scene: Scene, style: Look) -> NDArray[np.uint8]:
    """The frames of a clip, (FRAMES, size, size, 3) RGB."""
    grid = (np.arange(style.size, dtype=np.float32) + 0.5) / style.size
    frames = np.empty((FRAMES, style.size, style.size, 3), np.uint8)
    for index in range(FRAMES):
        done = index / (FRAMES - 1)
        radius = style.radii[0] + done * (style.radii[1] - style.radii[0])
        angle = done * style.turn
        cover = np.zeros((style.size, style.size), np.float32)
        for x, y in style.starts:
            across, down = grid[None, :] - (x + done * style.travel), grid[:, None] - y
            cos, sin = math.cos(angle), math.sin(angle)
            distance = _distance(scene.shape, across * cos + down * sin, down * cos - across * sin, radius)
            # A pixel is covered by how far inside the edge its middle lies: edges without stairs.
            cover = np.maximum(cover, np.clip(0.5 - distance * style.size, 0, 1))
        blend = style.background + cover[..., None] * (style.colour - style.background)
        frames[index] = blend + 0.5
    return frames


def _distance(shape: str, x: NDArray[np.float32], y: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Signed distance to the edge of a shape at the origin, negative inside; ``y`` points down."""
    right, below = np.abs(x), np.abs(y)
    if shape == "circle":
        return np.sqrt(x * x + y * y) - np.float32(radius)
    if shape == "square":
        return np.maximum(right, below) - np.float32(0.88 * radius)
    if shape == "triangle":
        # Three half-planes: the base below and two sides at 60 degrees to it (an equilateral triangle).
        return np.maximum(y, 0.866 * right - 0.5 * y) - np.float32(0.55 * radius)
    assert shape == "cross", shape
    return np.maximum(
        np.minimum(right, below) - np.float32(0.32 * radius), np.maximum(right, below) - np.float32(1.05 * radius)
    )


def write_clip(
    path: Path,
    frames: NDArray[np.uint8],
    *,
    each_alone: bool = False,
    rate: int = FRAMES_PER_SECOND,
    overwrite: bool = False,
) -> None:
    """Encode frames (T, H, W, 3) as H.264 in MP4; one thread, so that the same frames give the same bytes.

    ``each_alone``: every frame is a keyframe of the same quality, so that none shows where it stands. A file with
    other content stays, and raises CaptionerError, unless ``overwrite``.
    """
    temporary = temporary_for(path, suffix=".mp4")
    try:
        with av.open(str(temporary), "w") as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            # Slower presets use B-frames with the macroblock tree, which reads memory it never wrote.
            stream.options = {"preset": "ultrafast", "crf": "20"}
            if each_alone:
                stream.options = {"preset": "ultrafast", "qp": "12", "g": "1"}
            stream.thread_count = 1
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
        put(temporary, path, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)
