"""``python -m eval compare``: tests the difference between systems and lists the clips that changed most."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from captioner.errors import DataError
from captioner.safe.text import visible
from eval.commands.arguments import MANY, add_json, add_overwrite, check_numbers, print_and_write
from eval.commands.score import add_scoring_arguments, check_arguments, prepare_references, score_file
from eval.inputs.references import add_reference_arguments, read_references
from eval.report.table import columns, points
from eval.scores.differences import ClipChange, Comparison, compare_evaluations

TRIALS = 10000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "systems", metavar="PREDICTIONS", nargs="+", help="two or more predictions files; the first is the baseline"
    )
    add_reference_arguments(parser)
    add_scoring_arguments(parser)
    add_test_arguments(parser)
    parser.add_argument(
        "--show", type=int, default=5, help="number of most improved and most regressed clips (default: 5)"
    )
    add_json(parser, what="comparisons")
    add_overwrite(parser)


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """What the significance tests need beside the bootstrap's own options."""
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help="trials of approximate randomization (default: %(default)s)"
    )


def check_test_arguments(args: argparse.Namespace) -> None:
    """Raises DataError on numbers that make no sense."""
    check_arguments(args)
    check_numbers(args, {"trials": MANY})


def run(args: argparse.Namespace) -> int:
    """Compare every system with the first, print and write."""
    check_test_arguments(args)
    if len(args.systems) < 2:
        raise DataError("compare needs at least two files of predictions before REFERENCES")
    prepared = prepare_references(read_references(args.references, split=args.split), args)
    names = _names(args.systems)
    baseline, *others = [
        score_file(path, prepared, args, name=name) for path, name in zip(args.systems, names, strict=True)
    ]
    comparisons = [
        compare_evaluations(other, baseline, resamples=args.resamples, trials=args.trials, seed=args.seed)
        for other in others
    ]
    text = "\n\n".join(comparison_table(c, show=args.show, of=len(prepared.references.captions)) for c in comparisons)
    for evaluation in (baseline, *others):
        text += f"\nsignature of {visible(evaluation.name)}: {evaluation.signature}|ar:{args.trials}"
    print_and_write(text, [{**dataclasses.asdict(c), "ties": c.ties} for c in comparisons], args)
    return 0


def comparison_table(comparison: Comparison, *, show: int, of: int) -> str:
    """One comparison as text; ``of`` is the number of clips with references."""
    rows = [
        ["metric", comparison.baseline, comparison.system, "difference", "95 % interval", "p bootstrap", "p random."]
    ]
    for name, d in comparison.differences.items():
        rows.append(
            [
                name,
                points(comparison.baseline_scores[name]),
                points(comparison.system_scores[name]),
                f"{100 * d.difference:+.2f}",
                f"{100 * d.low:+.2f} to {100 * d.high:+.2f}",
                f"{d.p_bootstrap:.4f}",
                f"{d.p_randomization:.4f}",
            ]
        )
    over = f"{comparison.clips} of {of} clips"
    if comparison.clips < of:
        over += " (PARTIAL: only clips that both captioned; not scores on the whole set)"
    parts = [
        f"{visible(comparison.system)} against {visible(comparison.baseline)} on {over}",
        columns([[visible(cell) for cell in row] for row in rows]),
        f"by clip (CIDEr): {comparison.wins} won, {comparison.losses} lost, {comparison.ties} equal",
    ]
    if comparison.clips == 1:
        parts.append("warning: one clip says nothing about chance; CIDEr is 0 with one clip")
    for title, changes in (
        ("most improved", [c for c in comparison.changes[:show] if c.change > 0]),
        ("most regressed", [c for c in comparison.changes[::-1][:show] if c.change < 0]),
    ):
        if changes:
            parts.append(f"{title}:")
            parts += [_change_lines(change) for change in changes]
    return "\n".join(parts)


def _change_lines(change: ClipChange) -> str:
    return (
        f"  {visible(change.id)}  {points(change.baseline_cider)} -> {points(change.system_cider)}\n"
        f"    was: {visible(change.baseline_caption)}\n"
        f"    now: {visible(change.system_caption)}\n"
        f"    ref: {visible(change.reference)}"
    )


def _names(paths: list[str]) -> list[str]:
    """File names where those differ, else the names of their folders (one a run), else whole paths."""
    files = [Path(path) for path in paths]
    for names in ([file.name for file in files], [file.absolute().parent.name for file in files]):
        if len(set(names)) == len(names):
            return names
    return list(paths)
