"""``python -m eval human``: human agreement (leave-one-out), which a model is compared with."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from captioner.errors import DataError
from captioner.metrics.text import TOKENIZER
from eval.inputs.references import add_reference_arguments, read_references
from eval.report.table import add_overwrite, columns, points, printable, write_text
from eval.scores.goodness import GOOD
from eval.scores.human import DRAWS, SEED, leave_one_out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``human``."""
    add_reference_arguments(parser)
    parser.add_argument("--draws", type=int, default=DRAWS, help="random draws of a reference (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the draws (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON (- for stdout)")
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Draw, score, print and write."""
    if not 1 <= args.draws <= 1000:
        raise DataError(f"--draws is {args.draws}; it must be 1 to 1000")
    references = read_references(args.references, split=args.split)
    line = leave_one_out(references, draws=args.draws, seed=args.seed)
    if args.json:
        write_text(args.json, json.dumps(dataclasses.asdict(line), indent=1) + "\n", overwrite=args.overwrite)
    rows = [["metric", "people", "sd of draws"]]
    rows += [[name, points(score), points(line.deviations[name])] for name, score in line.scores.items()]
    split = f" ({references.split})" if references.split else ""
    parts = [f"people against people in {printable(references.source)}{split}", columns(rows), line.describe()]
    parts.append(f"good: {100 * line.good:.1f} % of what they say; good is when {GOOD}")
    if line.skipped:
        parts.append(f"{line.skipped} clips have one reference and were left out")
    parts.append(f"signature: clips:{line.clips}|human:loo{line.draws}|case:lc|tok:{TOKENIZER}|seed:{line.seed}")
    print("\n".join(parts), file=sys.stderr if args.json == "-" else sys.stdout)
    return 0
