"""The program of captioner-runtime: ``captioner caption`` and ``captioner doctor`` where torch is not installed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from captioner import __version__
from captioner.commands import doctor
from captioner.errors import CaptionerError
from captioner.io.program import EXIT, run_program
from captioner.runtime.__main__ import add_options

_CAPTION = """\
Caption video files.

    captioner caption a.mp4
    captioner caption film.mp4 --segments shots -f vtt -o film.vtt"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run_program("captioner", lambda: _parser().parse_args(arguments), lasting=arguments is None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="captioner", description="Turn videos into sentences without torch (captioner-runtime).", epilog=EXIT
    )
    parser.add_argument("--version", action="version", version=f"captioner-runtime {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    raw = argparse.RawDescriptionHelpFormatter
    caption = commands.add_parser("caption", help="caption video files", description=_CAPTION, formatter_class=raw)
    add_options(caption)
    checks = commands.add_parser("doctor", help="check the installation, with a caption made on the spot")
    checks.add_argument("--json", action="store_true", help="the findings as JSON Lines")
    checks.set_defaults(run=_doctor)
    for command in (caption, checks):
        command.add_argument("-m", "--model", metavar="DIR", help="what captioner export wrote (default: the packaged)")
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from captioner.setup.doctor import examine_without_torch

    if not doctor.report(examine_without_torch(options.model), as_json=options.json):
        raise CaptionerError("something is missing; see above")
    return 0
