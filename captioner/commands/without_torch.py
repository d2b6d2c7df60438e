"""The program of captioner-runtime: ``captioner caption`` and ``captioner doctor`` where torch is not installed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from captioner import __version__
from captioner.errors import CaptionerError, ConfigError, UsageError, VideoError
from captioner.io.program import EXIT, run_program

if TYPE_CHECKING:
    from captioner.caption.result import Caption
    from captioner.runtime.runner import Runner

_CAPTION = """\
Caption video files.

    captioner caption a.mp4
    captioner caption film.mp4 --segments shots -f vtt -o film.vtt"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run_program("captioner", lambda: _parser().parse_args(arguments), lasting=arguments is None)


def _parser() -> argparse.ArgumentParser:
    from captioner.outputs.writers import FORMATS

    parser = argparse.ArgumentParser(
        prog="captioner", description="Turn videos into sentences without torch (captioner-runtime).", epilog=EXIT
    )
    parser.add_argument("--version", action="version", version=f"captioner-runtime {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    raw = argparse.RawDescriptionHelpFormatter
    caption = commands.add_parser("caption", help="caption video files", description=_CAPTION, formatter_class=raw)
    caption.add_argument("paths", nargs="+", metavar="VIDEO")
    caption.add_argument("-f", "--format", choices=tuple(FORMATS), default="txt", help="default: txt")
    caption.add_argument("-o", "--output", metavar="FILE", help="default: stdout")
    caption.add_argument("--overwrite", action="store_true", help="replace an existing file")
    caption.add_argument("--segments", metavar="shots|SECONDS", help="one caption a segment")
    caption.add_argument("--threads", type=int, metavar="N", help="processor threads (default: onnxruntime's)")
    caption.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="a file (default: %(default)g)")
    caption.set_defaults(run=_caption)
    doctor = commands.add_parser("doctor", help="check the installation, with a caption made on the spot")
    doctor.add_argument("--json", action="store_true", help="the findings as JSON Lines")
    doctor.set_defaults(run=_doctor)
    for command in (caption, doctor):
        command.add_argument("-m", "--model", metavar="DIR", help="what captioner export wrote (default: the packaged)")
    return parser


def _caption(options: argparse.Namespace) -> int:
    from captioner.caption.segments import parse_segments
    from captioner.outputs.writers import writer
    from captioner.runtime.runner import Runner
    from captioner.safe.whole import WholeFile, refuse_to_replace

    try:
        segments = parse_segments(options.segments) if options.segments else None
    except ConfigError as error:
        raise UsageError(str(error)) from error
    refuse_to_replace([options.output], overwrite=options.overwrite)
    failures: list[VideoError] = []
    write = writer(options.format, words=True, many=len(options.paths) > 1, segments=segments is not None)
    captions = _captions(Runner(options.model, threads=options.threads), options, segments, failures)
    if options.output:
        with WholeFile(options.output, overwrite=options.overwrite) as out:
            for text in write(captions):
                out.write(text)
    else:
        for text in write(captions):
            sys.stdout.write(text)
    return 1 if failures else 0


def _captions(
    runner: Runner, options: argparse.Namespace, segments: Any, failures: list[VideoError]
) -> Iterator[Caption]:
    for path in options.paths:
        try:
            yield from runner.captions(path, segments=segments, timeout_seconds=options.timeout)
        except VideoError as error:
            failures.append(error)
            print(f"captioner: {error} [{error.code}]", file=sys.stderr)


def _doctor(options: argparse.Namespace) -> int:
    from captioner.setup.doctor import examine_without_torch

    well = True
    for finding in examine_without_torch(options.model):
        well &= finding.ok
        if options.json:
            print(json.dumps(asdict(finding)), flush=True)
        else:
            print(f"{'ok ' if finding.ok else 'BAD'}  {finding.name + ':':18}{finding.detail}", flush=True)
    if not well:
        raise CaptionerError("something is missing; see above")
    return 0
