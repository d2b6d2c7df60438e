"""``captioner sample``: writes a sample clip for people without a video at hand."""

from __future__ import annotations

import argparse
from pathlib import Path

from captioner.errors import UsageError
from captioner.safe.whole import refuse_to_replace


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="output file (default: sample.mp4)")
    parser.add_argument("-o", "--output", metavar="FILE", help="the same as FILE")
    parser.add_argument("--each", action="store_true", help="write one file a shot; FILE is then a folder")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")


def run(options: argparse.Namespace) -> int:
    from captioner.setup.sample import SHOTS, render_sample

    if options.output and options.file:
        raise UsageError(f"FILE is {options.file} and -o is {options.output}; give one of them")
    target = Path(options.output or options.file or "sample.mp4")
    places = {target / f"{shot.name}.mp4": (shot,) for shot in SHOTS} if options.each else {target: SHOTS}
    refuse_to_replace(places, overwrite=options.overwrite)
    for path, shots in places.items():
        print(render_sample(path, shots, overwrite=options.overwrite))
    return 0
