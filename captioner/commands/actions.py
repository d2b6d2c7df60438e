"""``captioner actions``: recognises actions, with all options of ``captioner caption``."""

from __future__ import annotations

import argparse

from captioner.commands import caption
from captioner.commands.options import add_common

ABOUT = """\
Recognise actions in video files: one, or whole archives.

PATH and the options of input, output, run and frames are those of `captioner caption`. The `caption` of a result is
the likeliest action, its `confidence` the calibrated probability, its `alternatives` the next ones (`score` is their
probability), and with --words it says how likely the action was at each frame."""


def add(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    group = parser.add_argument_group("actions")
    group.add_argument("--top", type=int, metavar="K", help="actions told of each clip (default: 5)")
    group.add_argument("--min-confidence", type=float, metavar="C", help="mark results below this as unsure")
    parser.set_defaults(kind="actions")


def run(options: argparse.Namespace) -> int:
    options.beams = options.n_best = options.top
    return caption.run(options)
