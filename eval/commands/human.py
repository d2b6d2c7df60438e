"""``python -m eval human``: human agreement (leave-one-out), which a model is compared with."""

from __future__ import annotations

import argparse
import dataclasses

from captioner.errors import counted
from captioner.metrics.text import TOKENIZER
from captioner.safe.text import visible
from eval.commands.arguments import add_json, add_overwrite, check_numbers, print_and_write
from eval.inputs.references import add_reference_arguments, read_references
from eval.report.table import columns, points
from eval.scores.goodness import GOOD
from eval.scores.human import DRAWS, SEED, leave_one_out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_reference_arguments(parser)
    parser.add_argument("--draws", type=int, default=DRAWS, help="random draws of a reference (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the draws (default: %(default)s)")
    add_json(parser, what="figures")
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Draw, score, print and write."""
    check_numbers(args, {"draws": (1, 1000)})
    references = read_references(args.references, split=args.split)
    line = leave_one_out(references, draws=args.draws, seed=args.seed)
    rows = [["metric", "people", "sd of draws"]]
    rows += [[name, points(score), points(line.deviations[name])] for name, score in line.scores.items()]
    split = f" ({references.split})" if references.split else ""
    parts = [f"people against people in {visible(references.source)}{split}", columns(rows), line.describe()]
    parts.append(f"good: {100 * line.good:.1f} % of what they say; good is when {GOOD}")
    if line.skipped:
        parts.append(f"{counted(line.skipped, 'clip')} with one reference left out")
    parts.append(f"signature: clips:{line.clips}|human:loo{line.draws}|case:lc|tok:{TOKENIZER}|seed:{line.seed}")
    print_and_write("\n".join(parts), dataclasses.asdict(line), args)
    return 0
