"""The samples of the page: short clips, and a film of them, each with a picture."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioner.errors import CaptionerError
from captioner.setup.sample import SHOTS, render_sample
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from data.shapes import Scene, draw, look, write_clip
from demo import strings
from demo.components.pictures import data_uri

SIDE = 288
SCENES = (
    Scene(shape="circle", colour="red", motion="moves left", count=2),
    Scene(shape="cross", colour="blue", motion="spins", count=1),
    Scene(shape="triangle", colour="yellow", motion="grows", count=3),
    Scene(shape="square", colour="green", motion="moves right", count=1),
)
_PICTURE = (128, 96)


@dataclass(frozen=True)
class Sample:
    """A video to start with."""

    name: str
    """As the visitor reads it."""
    path: Path
    picture: str
    """A ``data:`` URI."""


def render_samples() -> tuple[list[Sample], list[Sample], tempfile.TemporaryDirectory[str]]:
    """Short clips, and a film of several shots; and the folder they live in, to be closed.

    Of photographs where the package that brings them is installed; drawn otherwise.
    """
    folder = tempfile.TemporaryDirectory(prefix="captioner-samples-")
    film = Path(folder.name) / "film.mp4"
    try:
        clips = {
            strings.SAMPLE_NAMES[shot.name]: render_sample(Path(folder.name) / f"{shot.name}.mp4", [shot])
            for shot in SHOTS
        }
        render_sample(film)
        count = len(SHOTS)
    except CaptionerError:
        clips, count = _draw(Path(folder.name), film), len(SCENES)
    films = {strings.SAMPLE_FILM.format(count=count): film}
    found = [[sample_of(name, path) for name, path in each.items()] for each in (clips, films)]
    return found[0], found[1], folder


def sample_of(name: str, path: Path) -> Sample:
    """A sample with the picture in its middle."""
    pixels = sample_frames(path, VideoConfig(frames=1, size=192)).pixels[0]
    return Sample(name, path, data_uri(pixels, size=_PICTURE))


def _draw(folder: Path, film: Path) -> dict[str, Path]:
    clips, shots = {}, []
    for number, scene in enumerate(SCENES, start=1):
        frames = draw(scene, look(scene, np.random.default_rng(number - 1), size=SIDE))
        path = clips[strings.SAMPLE_DRAWN.format(number=number)] = folder / f"drawing-{number}.mp4"
        write_clip(path, np.concatenate([frames, frames[::-1]]) if scene.motion == "spins" else frames)
        shots.append(np.repeat(frames, 2, axis=0))
    write_clip(film, np.concatenate(shots))
    return clips
