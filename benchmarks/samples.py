"""Which photographs make good samples: what the packaged captioner says of each must be true, or marked unsure.

    python benchmarks/samples.py

A caption is true where each of its content words is one of those written down for the photograph (``Shot.true``). Every
photograph is tried in several windows. Take what is true for ``SHOTS`` of captioner/setup/sample.py, and one that is
unsure.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from captioner import Captioner
from captioner.setup.sample import SHOTS, Shot, render_sample


def _photograph(name: str, file: str, true: str) -> Shot:
    return Shot(name, file, (0.5, 0.5, 1.0), (0.5, 0.5, 1.0), frozenset(true.split()))


OTHERS = (
    _photograph("cat", "chelsea.png", "cat kitten looking sitting lying camera face"),
    _photograph("coffee", "coffee.png", "cup coffee espresso table saucer spoon"),
    _photograph("astronaut", "astronaut.png", "woman astronaut person smiling posing orange suit sitting flag"),
    _photograph("rocket", "rocket.jpg", "rocket tower standing night sky launch"),
    _photograph("motorcycle", "motorcycle_left.png", "motorcycle moped garage parked standing"),
)
WINDOWS = (
    ((0.5, 0.5, 1.0), (0.5, 0.5, 0.9)),
    ((0.4, 0.5, 0.7), (0.6, 0.5, 0.7)),
    ((0.5, 0.35, 0.6), (0.5, 0.45, 0.8)),
    ((0.6, 0.4, 0.6), (0.3, 0.4, 0.6)),
)


def main() -> None:
    """A line for each window: whether it holds, how sure the captioner is, and what it says."""
    captioner = Captioner.load()
    with tempfile.TemporaryDirectory() as folder:
        for shot in (*SHOTS, *OTHERS):
            for begin, end in {(shot.begin, shot.end), *WINDOWS}:
                clip = render_sample(Path(folder) / "clip.mp4", [replace(shot, begin=begin, end=end)], overwrite=True)
                caption = captioner.caption(clip)
                verdict = "unsure" if caption.abstained else "true" if shot.holds(caption.text) else "wrong"
                print(f"{verdict:7}{caption.confidence:5.2f} {shot.name:13}{begin} {end}  {caption.text}", flush=True)


if __name__ == "__main__":
    main()
