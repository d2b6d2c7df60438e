"""``captioner actions``: recognises actions, with all options of ``captioner caption``."""

from __future__ import annotations

import argparse

from captioner.commands import caption
from captioner.commands.options import add_common

ABOUT = """\
Recognise actions in video files: one, or whole archives.

PATH and most options are those of `captioner caption`. In a result, `caption` is the likeliest action and `confidence`
its calibrated probability. `alternatives` are the next actions, with their probabilities as `score`. --words adds the
probability at each frame."""


def add(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    group = parser.add_argument_group("actions")
    group.add_argument("--top", type=int, metavar="K", help="actions reported for each clip (default: 5)")
    group.add_argument(
        "--min-confidence", type=float, metavar="C", help="threshold below which a result is marked as unsure"
    )
    parser.set_defaults(kind="actions")


def run(options: argparse.Namespace) -> int:
    options.beams = options.n_best = options.top
    return caption.run(options)
