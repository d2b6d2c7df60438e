"""Arguments that several commands have, their checks, and how a command gives what it measured."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any

from captioner.errors import DataError
from eval.report.table import write_text

MANY = (100, 1_000_000)
"""Resamples, or trials, from least to most."""


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """CHECKPOINT."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint folder, or 'default' for the packaged one")


def add_device(parser: argparse.ArgumentParser) -> None:
    """``--device``."""
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is one")


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """``--timeout``, of every command that captions files."""
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="limit for each file (default: %(default)s)"
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """``--overwrite``, of every command that writes files."""
    parser.add_argument("--overwrite", action="store_true", help="replace existing output files")


def add_json(parser: argparse.ArgumentParser, *, what: str) -> None:
    """``--json``, for :func:`print_and_write`."""
    parser.add_argument("--json", metavar="FILE", help=f"write the {what} as JSON (- for stdout)")


def check_numbers(args: argparse.Namespace, allowed: dict[str, tuple[float, float]]) -> None:
    """Raise DataError for an option that is less than the first number allowed, or more than the second."""
    for name, (least, most) in allowed.items():
        value = getattr(args, name)
        if value is not None and not least <= value <= most:
            numbers = f"at least {least}" if most == math.inf else f"{least} to {most}"
            raise DataError(f"--{name} is {value}; it must be {numbers}")


def check_timeout(args: argparse.Namespace) -> None:
    """Raise DataError unless ``--timeout`` leaves some time."""
    if not args.timeout > 0:
        raise DataError(f"--timeout is {args.timeout}; it must be above 0 seconds")


def print_and_write(text: str, values: Any, args: argparse.Namespace) -> None:
    """Write ``values`` where ``--json`` says, and print ``text``: to stderr where stdout has the JSON."""
    if args.json:
        write_text(args.json, json.dumps(values, ensure_ascii=False, indent=1) + "\n", overwrite=args.overwrite)
    print(text, file=sys.stderr if args.json == "-" else sys.stdout)
