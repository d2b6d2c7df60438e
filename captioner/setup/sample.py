"""Sample clips to start with: photographs that scikit-image ships, panned and zoomed as a camera would.

The photographs are free to redistribute: the photographer and the grass are CC0, the horse is in the public domain, and
the stars are NASA's (skimage/data/_fetchers.py). They are read from the installed package, never copied here.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from captioner.errors import CaptionerError
from captioner.safe.whole import whole_path
from captioner.video.frames import iter_frames, scale

PACKAGE = "scikit-image"
_FRAMES_PER_SECOND = 24
_SECONDS = 4
_WIDTH, _HEIGHT = 480, 360
_GREEN, _BROWN = np.array([0.55, 0.85, 0.35]), np.array([120.0, 75.0, 40.0])
_SCENE = (720, 1500)
_ZENITH, _HORIZON = np.array([110.0, 160.0, 220.0]), np.array([235.0, 240.0, 250.0])


@dataclass(frozen=True)
class Shot:
    """A photograph, and the windows that the camera moves between: centre and height, in shares of the picture."""

    name: str
    file: str
    begin: tuple[float, float, float]
    end: tuple[float, float, float]
    true: frozenset[str] = frozenset()
    """The content words that are true of it: a caption of others is wrong."""
    ground: str = ""
    """A texture under a sky, on which the photograph's dark shape stands."""

    def holds(self, text: str) -> bool:
        """Whether every content word of a caption is true of the shot."""
        return {word for word in text.split() if word not in _LITTLE} <= self.true


_LITTLE = frozenset(["a", "an", "the", "is", "are", "in", "on", "of", "with", "to", "and", "his", "her", "its"])


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PHOTOGRAPHER = _words("man person photographer taking takes picture photo photograph camera tripod standing filming")
_HORSE = _words("brown dark horse animal standing stands grass field grassy meadow outside")
_STARS = _words("stars galaxies sky night space dark")
# Chosen by benchmarks/samples.py: of each the packaged captioner says what is true, and of the last that it is unsure.
SHOTS = (
    Shot("photographer", "camera.png", (0.35, 0.4, 0.6), (0.45, 0.4, 0.6), _PHOTOGRAPHER),
    Shot("horse", "horse.png", (0.5, 0.35, 0.6), (0.5, 0.45, 0.8), _HORSE, ground="grass.png"),
    Shot("stars", "hubble_deep_field.jpg", (0.5, 0.5, 1.0), (0.5, 0.5, 0.85), _STARS),
)


def photographs() -> Path:
    """The folder of the photographs; raises CaptionerError where the package is not installed."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise CaptionerError(f"the sample needs the photographs of {PACKAGE}: pip install --no-deps {PACKAGE}")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def render_sample(path: Path, shots: Sequence[Shot] = SHOTS, *, overwrite: bool = False) -> Path:
    """Write the shots one after another as an H.264 clip of 4:3. Raises CaptionerError."""
    folder = photographs()
    with (
        whole_path(path, overwrite=overwrite, make_folder=True, suffix=".mp4") as temporary,
        av.open(str(temporary), "w") as out,
    ):
        stream = out.add_stream("libx264", rate=_FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20"}
        stream.thread_count = 1
        for shot in shots:
            for pixels in _views(_picture(folder, shot), shot):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def _picture(folder: Path, shot: Shot) -> np.ndarray:
    """What the camera looks at, (height, width, 3) uint8: a photograph, or its dark shape on a ground under a sky."""
    picture = next(iter_frames(folder / shot.file, count=1)).pixels
    if not shot.ground:
        return picture
    dark = picture[..., 0] < 128
    rows, columns = (np.flatnonzero(dark.any(axis=axis)) for axis in (1, 0))
    shape = np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scene = scale(next(iter_frames(folder / shot.ground, count=1)).pixels, *_SCENE) * _GREEN
    sky = int(0.45 * len(scene))
    scene[:sky] = np.linspace(_ZENITH, _HORIZON, sky)[:, None]
    high = int(0.7 * len(scene))
    wide = high * shape.shape[1] // shape.shape[0]
    cover = 1 - scale(shape, high, wide)[..., :1] / 255.0
    top, left = int(0.88 * len(scene)) - high, (scene.shape[1] - wide) // 2
    part = scene[top : top + high, left : left + wide]
    part[:] = part * (1 - cover) + np.linspace(1.25, 0.7, high)[:, None, None] * _BROWN * cover
    return scene.clip(0, 255).astype(np.uint8)


def _views(picture: np.ndarray, shot: Shot) -> Iterator[np.ndarray]:
    """What the camera sees, (height, width, 3) uint8 each: it starts and stops gently."""
    count = _SECONDS * _FRAMES_PER_SECOND
    for number in range(count):
        share = (1 - math.cos(math.pi * number / (count - 1))) / 2
        x, y, size = (a + (b - a) * share for a, b in zip(shot.begin, shot.end, strict=True))
        rows = min(size * picture.shape[0], picture.shape[1] * _HEIGHT / _WIDTH)
        columns = rows * _WIDTH / _HEIGHT
        top = min(max(y * picture.shape[0] - rows / 2, 0), picture.shape[0] - rows)
        left = min(max(x * picture.shape[1] - columns / 2, 0), picture.shape[1] - columns)
        window = picture[int(top) : int(top + rows), int(left) : int(left + columns)]
        yield scale(window, _HEIGHT, _WIDTH)
