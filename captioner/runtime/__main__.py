"""``python -m captioner.runtime FOLDER VIDEO...``: captions with an exported captioner, without torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from captioner.caption.segments import Segments, parse_segments
from captioner.errors import ConfigError, UsageError, VideoError
from captioner.io.program import run_program
from captioner.outputs.writers import FORMATS, writer
from captioner.runtime.runner import Runner
from captioner.safe.whole import WholeFile, refuse_to_replace

if TYPE_CHECKING:
    from captioner.caption.result import Caption


def main(arguments: Sequence[str] | None = None) -> int:
    """Caption each file; exit 1 if one cannot be captioned, each is named on stderr."""
    parser = argparse.ArgumentParser(prog="python -m captioner.runtime", description=__doc__)
    parser.add_argument("model", metavar="FOLDER", help="what `captioner export` wrote")
    add_options(parser)
    return run_program("captioner", lambda: parser.parse_args(arguments), lasting=arguments is None)


def add_options(parser: argparse.ArgumentParser) -> None:
    """All but the folder, which :func:`run` finds in ``options.model``."""
    parser.add_argument("paths", nargs="+", metavar="VIDEO")
    parser.add_argument("-f", "--format", choices=tuple(FORMATS), default="txt", help="default: txt")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: stdout")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--segments", metavar="shots|SECONDS", help="one caption a segment")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (default: onnxruntime's)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="a file (default: %(default)g)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Caption the files; returns the exit status."""
    try:
        segments = parse_segments(options.segments) if options.segments else None
    except ConfigError as error:
        raise UsageError(str(error)) from error
    refuse_to_replace([options.output], overwrite=options.overwrite)
    failures: list[VideoError] = []
    runner = Runner(options.model, threads=options.threads)
    captions = _captions(runner, options, segments, failures)
    texts = writer(options.format, words=True, many=len(options.paths) > 1, segments=segments is not None)(captions)
    if options.output:
        with WholeFile(options.output, overwrite=options.overwrite) as out:
            for text in texts:
                out.write(text)
    else:
        sys.stdout.writelines(texts)
    return 1 if failures else 0


def _captions(
    runner: Runner, options: argparse.Namespace, segments: Segments | None, failures: list[VideoError]
) -> Iterator[Caption]:
    """Captions of all files as they come; ``failures`` gets the errors of those that have none."""
    for path in options.paths:
        try:
            yield from runner.captions(path, segments=segments, timeout_seconds=options.timeout)
        except VideoError as error:
            failures.append(error)
            print(f"captioner: {error} [{error.code}]", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
