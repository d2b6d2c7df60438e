"""``captioner average``: one captioner of several that were trained from one start."""

from __future__ import annotations

import argparse
from pathlib import Path

ABOUT = """\
Average the weights of checkpoints that were trained from one start (a model soup): captioners, or fine-tuned CNNs.

    captioner average runs/a/checkpoint runs/b/checkpoint -o runs/mean
    captioner average runs/captions/checkpoint runs/selfcritical/checkpoint --weights 0.6 0.4 -o runs/both

An average of a checkpoint before and after fine-tuning is often better than both. Measure it on the validation split
(`python -m eval run`), then fit its confidence (`python -m eval calibrate`)."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoints", nargs="+", metavar="DIR", help="two or more checkpoint folders")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="new folder for the average")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--weights", nargs="+", type=float, default=[], metavar="W", help="weight of each folder (default: equal)"
    )


def run(options: argparse.Namespace) -> int:
    from captioner.checkpoint.files import check_output
    from captioner.training.soup import average

    folder = Path(options.output)
    check_output(folder, overwrite=options.overwrite, inputs=options.checkpoints)
    average(options.checkpoints, folder, weights=options.weights)
    print(folder)
    return 0
