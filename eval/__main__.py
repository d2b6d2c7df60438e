"""``python -m eval COMMAND``: score captions, compare systems, guard against a fall.

Exit 0: done; 1: the data cannot be used, or (``gate``) a score fell; 2: the command was not understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from captioner.errors import CaptionerError
from captioner.io.platform import say_anything

# A command is a module with add_arguments(parser) and run(args) -> exit code. Only the one that is asked
# for is imported, with all it needs: --help answers at once.
COMMANDS = {
    "run": "caption a split with a checkpoint, score it and write the report",
    "score": "score captions against references, with 95 %% intervals and a signature",
    "compare": "compare systems on the same clips: differences, p-values, the clips that changed most",
    "gate": "exit 1 when a score is significantly below a baseline's",
    "look": "caption any videos onto one page: frames, caption, and where each word looked",
    "calibrate": "make a checkpoint's confidence the chance that a caption is good, or check that it is",
    "faithful": "measure whether words depend on the frames they attended to",
    "human": "score people against each other: the line that a model is measured against",
}


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser, with the options of ``command`` alone filled in."""
    parser = argparse.ArgumentParser(
        prog="python -m eval",
        description="Scores that equal coco-caption's, without Java, with intervals and a signature.",
        epilog="docs/howto/evaluate.md says what every number means.",
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
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors are one line on stderr (a traceback with CAPTIONER_DEBUG=1)."""
    say_anything()
    arguments = sys.argv[1:] if arguments is None else arguments
    command = next((argument for argument in arguments if argument in COMMANDS), None)
    args = build_parser(command).parse_args(arguments)
    try:
        return int(args.run(args))
    except CaptionerError as error:
        if os.environ.get("CAPTIONER_DEBUG") == "1":
            raise
        print(f"eval: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("eval: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left: python -m eval | head
        return 1


if __name__ == "__main__":
    sys.exit(main())
