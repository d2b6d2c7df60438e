"""The command line: parse, call, report. Results on stdout, everything else on stderr, exit 0, 1, 2 or 130.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from captioner import __version__
from captioner.commands import caption, doctor, inspection, training
from captioner.errors import CaptionerError, UsageError

_EXIT = (
    "exit status: 0 all well, 1 something could not be done (each is named on stderr), 2 a wrong command, "
    "130 stopped by Ctrl-C or SIGTERM"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    _open_closed_streams()
    options = make_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("captioner: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout has gone (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CaptionerError as error:
        if os.environ.get("CAPTIONER_DEBUG"):
            raise
        print(f"captioner: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:  # of the system, about a file that no command said more of
        if os.environ.get("CAPTIONER_DEBUG"):
            raise
        named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        print(f"captioner: {named}{error.strerror or error}", file=sys.stderr)
        return 1


def _open_closed_streams() -> None:
    """Put /dev/null where a standard stream was closed (``>&-``): the next file opened would take its place."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(file)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the life of the process


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="captioner",
        description="Turn videos into sentences, offline, on an ordinary machine.",
        epilog=_EXIT + "; CAPTIONER_DEBUG=1 shows tracebacks",
    )
    parser.add_argument("--version", action="version", version=f"captioner {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, about, add, run in (
        ("caption", "caption video files", caption.add, caption.run),
        ("train", "train a captioner from a recipe", training.add_train, training.train),
        ("features", "fill the feature cache of a recipe", training.add_features, training.features),
        (
            "probe",
            "show what a video file holds",
            inspection.add_probe,
            inspection.probe,
        ),
        ("info", "show what a checkpoint is and was trained on", inspection.add_info, inspection.info),
        ("doctor", "check the installation, with a caption made on the spot", doctor.add, doctor.run),
    ):
        description = caption.ABOUT if name == "caption" else about.capitalize() + "."
        command = commands.add_parser(
            name,
            help=about,
            description=description,
            epilog=_EXIT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(command)
        command.set_defaults(run=run)
    return parser
