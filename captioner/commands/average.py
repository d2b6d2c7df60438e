"""``captioner average``: one captioner of several that were trained from one start."""

from __future__ import annotations

import argparse
from pathlib import Path

from captioner.errors import UsageError

ABOUT = """\
Average the weights of captioners that were trained from one start (a model soup), or of CNNs that were tuned from one.

    captioner average runs/captions/checkpoint runs/selfcritical/checkpoint --weights 0.6 0.4 -o runs/both

Between a fine-tuning and what it began with there is, as a rule, a captioner that is better than either. Measure it on
val before you keep it (`python -m eval run`), and fit its confidence (`python -m eval calibrate`)."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoints", nargs="+", metavar="DIR", help="two checkpoint folders or more")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--weights", nargs="+", type=float, default=[], metavar="W", help="one for each folder (default: equal)"
    )


def run(options: argparse.Namespace) -> int:
    from captioner.training.soup import average

    folder = Path(options.output)
    if folder.exists():
        raise UsageError(f"{folder} exists; choose a new folder for -o")
    average(options.checkpoints, folder, weights=options.weights)
    print(folder)
    return 0
