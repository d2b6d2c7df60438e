"""``captioner actions``: recognises actions, with all options of ``captioner caption``."""

from __future__ import annotations

import argparse

from captioner.actions.config import ActionSettings
from captioner.commands import caption
from captioner.commands.options import add_common
from captioner.commands.settings import add_settings

ABOUT = """\
Recognise actions in video files: one, or whole archives.

In a result, `caption` is the likeliest action and `confidence` its calibrated probability. `alternatives` are the next
actions, with their probabilities as `score`. --words adds the probability at each frame."""


def add(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    add_settings(parser.add_argument_group("actions"), ActionSettings)
    parser.set_defaults(kind="actions")


def run(options: argparse.Namespace) -> int:
    return caption.run(options)
