"""``captioner sample``: writes a sample clip for people without a video at hand."""

from __future__ import annotations

import argparse
from pathlib import Path

from captioner.errors import CaptionerError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "output", nargs="?", default="sample.mp4", metavar="FILE", help="output file (default: sample.mp4)"
    )
    parser.add_argument("--each", action="store_true", help="write one file a shot; FILE is then a folder")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")


def run(options: argparse.Namespace) -> int:
    from captioner.setup.sample import SHOTS, render_sample

    target = Path(options.output)
    places = {target / f"{shot.name}.mp4": (shot,) for shot in SHOTS} if options.each else {target: SHOTS}
    for path in places:
        if path.exists() and not options.overwrite:
            raise CaptionerError(f"{path} exists; --overwrite replaces it")
    for path, shots in places.items():
        print(render_sample(path, shots))
    return 0
