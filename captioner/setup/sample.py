"""Sample clips to start with: photographs that scikit-image ships, panned and zoomed as a camera would.

The photographs are free to redistribute: the cat and the cup of coffee are CC0, the astronaut is NASA's, and the rocket
was released by SpaceX under CC0 (skimage/data/README.txt). They are read from the installed package, never copied here.
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
from captioner.video.frames import iter_frames, scale

PACKAGE = "scikit-image"
_FRAMES_PER_SECOND = 24
_SECONDS = 4


@dataclass(frozen=True)
class Shot:
    """A photograph, and the windows that the camera moves between: centre and height, in shares of the picture."""

    name: str
    file: str
    begin: tuple[float, float, float]
    end: tuple[float, float, float]


SHOTS = (
    Shot("cat", "chelsea.png", (0.45, 0.5, 1.0), (0.5, 0.45, 0.9)),
    Shot("coffee", "coffee.png", (0.4, 0.5, 0.8), (0.55, 0.5, 1.0)),
    Shot("astronaut", "astronaut.png", (0.5, 0.4, 0.75), (0.45, 0.35, 0.65)),
    Shot("rocket", "rocket.jpg", (0.5, 0.6, 0.7), (0.5, 0.4, 0.8)),
)


def photographs() -> Path:
    """The folder of the photographs; raises CaptionerError where the package is not installed."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise CaptionerError(f"the sample's photographs come with {PACKAGE}: pip install --no-deps {PACKAGE}")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def render_sample(path: Path, shots: Sequence[Shot] = SHOTS, *, side: int = 360) -> Path:
    """Write the shots one after another as an H.264 clip of 4:3, ``side`` pixels high. Raises CaptionerError."""
    folder = photographs()
    width = side * 4 // 3
    temporary = path.with_name(f".{path.stem[:100]}.tmp.mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(temporary), "w") as out:
            stream = out.add_stream("libx264", rate=_FRAMES_PER_SECOND)
            stream.width, stream.height, stream.pix_fmt = width, side, "yuv420p"
            stream.options = {"preset": "ultrafast", "crf": "20"}
            stream.thread_count = 1
            for shot in shots:
                for pixels in _views(folder / shot.file, shot, width=width, height=side):
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            out.mux(stream.encode(None))
        temporary.replace(path)
    except OSError as error:
        raise CaptionerError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _views(photo: Path, shot: Shot, *, width: int, height: int) -> Iterator[np.ndarray]:
    """What the camera sees, (height, width, 3) uint8 each: it starts and stops gently."""
    picture = next(iter_frames(photo, count=1)).pixels
    count = _SECONDS * _FRAMES_PER_SECOND
    for number in range(count):
        share = (1 - math.cos(math.pi * number / (count - 1))) / 2
        x, y, size = (a + (b - a) * share for a, b in zip(shot.begin, shot.end, strict=True))
        rows = min(size * picture.shape[0], picture.shape[1] * height / width)
        columns = rows * width / height
        top = min(max(y * picture.shape[0] - rows / 2, 0), picture.shape[0] - rows)
        left = min(max(x * picture.shape[1] - columns / 2, 0), picture.shape[1] - columns)
        window = picture[int(top) : int(top + rows), int(left) : int(left + columns)]
        yield scale(window, height, width)
