"""``python -m captioner.runtime FOLDER VIDEO...``: captions with an exported captioner, without torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from captioner.errors import VideoError
from captioner.io.program import run_program
from captioner.outputs.writers import row
from captioner.runtime.runner import Runner


def main(arguments: Sequence[str] | None = None) -> int:
    """Caption each file; exit 1 if one cannot be captioned, each is named on stderr."""
    return run_program("captioner", lambda: _parser().parse_args(arguments), lasting=arguments is None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m captioner.runtime", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="what `captioner export` wrote")
    parser.add_argument("paths", nargs="+", metavar="VIDEO")
    parser.add_argument("-f", "--format", choices=("txt", "jsonl"), default="txt")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (default: onnxruntime's)")
    parser.set_defaults(run=run)
    return parser


def run(options: argparse.Namespace) -> int:
    failed = 0
    runner = Runner(options.folder, threads=options.threads)
    for path in options.paths:
        try:
            caption = runner.caption(path)
        except VideoError as error:
            failed += 1
            print(f"captioner: {error} [{error.code}]", file=sys.stderr)
            continue
        named = f"{path}: " if len(options.paths) > 1 else ""
        print(json.dumps(row(caption), ensure_ascii=False) if options.format == "jsonl" else named + caption.told)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
