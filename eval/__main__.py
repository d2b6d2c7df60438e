"""``python -m eval COMMAND``: score captions, compare systems, guard against a fall.

Exit 0: done; 1: the data cannot be used, or (``gate``) a score fell; 2: the command was not understood; 130: stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from captioner.cli import Parser
from captioner.io.program import run_program

# A command is a module with add_arguments(parser) and run(args) -> exit code. Only the one that is asked
# for is imported, with all it needs: --help answers at once.
COMMANDS = {
    "run": "caption a split with a checkpoint, score it and write the report",
    "score": "score captions against references, with 95 %% intervals and a signature",
    "compare": "compare systems on the same clips: differences, p-values, most changed clips",
    "gate": "exit 1 if a score is significantly below the baseline",
    "look": "caption any videos onto one page: frames, caption and attention",
    "calibrate": "calibrate the confidence of a checkpoint, or measure its calibration",
    "faithful": "measure whether words depend on the frames they attended to",
    "retrieval": "measure whether sentences find their clips in an index, and clips their sentences",
    "human": "measure human agreement (leave-one-out)",
}


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser, with the options of ``command`` alone filled in."""
    parser = Parser(
        prog="python -m eval",
        description="Scores that equal coco-caption's, without Java, with intervals and a signature.",
        epilog="docs/reference/scores.md defines every number.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        added = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.".replace("%%", "%")
        )
        if name == command:
            module = import_module(f"eval.commands.{name}")
            module.add_arguments(added)
            added.set_defaults(run=module.run)
    parser.commands = dict(commands.choices)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors are one line on stderr (a traceback with CAPTIONER_DEBUG=1)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = next((argument for argument in given if argument in COMMANDS), None)
    return run_program("eval", lambda: build_parser(command).parse_args(given), lasting=arguments is None)


if __name__ == "__main__":
    sys.exit(main())
