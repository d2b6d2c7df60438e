"""``python -m eval gate``: a check for CI that fails when a score is significantly below a baseline's."""

from __future__ import annotations

import argparse

from captioner.errors import DataError, counted
from captioner.safe.text import visible
from eval.commands.compare import add_test_arguments, check_test_arguments
from eval.commands.score import add_scoring_arguments, prepare_references, score_file
from eval.inputs.references import add_reference_arguments, read_references
from eval.report.table import columns, points
from eval.scores.differences import compare_evaluations
from eval.scores.evaluation import Evaluation, load_evaluation

METRICS = ("BLEU-4", "ROUGE-L", "CIDEr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("current", metavar="CURRENT", help="report.json, or predictions if REFERENCES follow")
    parser.add_argument("references", metavar="REFERENCES", nargs="?", help="references for CURRENT")
    parser.add_argument("--baseline", required=True, metavar="REPORT", help="report.json of `eval score --json`")
    parser.add_argument(
        "--metric", action="append", metavar="NAME", help=f"metric to guard; repeatable (default: {', '.join(METRICS)})"
    )
    parser.add_argument("--alpha", type=float, default=0.05, help="probability of a false alarm (default: %(default)s)")
    add_reference_arguments(parser, positional=False)
    add_scoring_arguments(parser)
    add_test_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit 1 when a guarded score fell significantly, or clips of the baseline have lost their captions."""
    check_test_arguments(args)
    if not 0 < args.alpha < 1:
        raise DataError(f"--alpha is {args.alpha}; it must be between 0 and 1")
    baseline = load_evaluation(args.baseline)
    current = _current(args)
    comparison = compare_evaluations(current, baseline, resamples=args.resamples, trials=args.trials, seed=args.seed)
    metrics = tuple(args.metric or METRICS)
    if unknown := [name for name in metrics if name not in comparison.differences]:
        raise DataError(
            f"--metric {unknown[0]!r} is not in both reports; they have {', '.join(comparison.differences)}"
        )
    # Bonferroni: with several metrics the chance that any of them cries wolf stays below alpha.
    alpha = args.alpha / len(metrics)
    rows, fallen = [["metric", "baseline", "current", "difference", "p", ""]], []
    for name in metrics:
        difference = comparison.differences[name]
        fell = difference.difference < 0 and difference.p_randomization < alpha
        fallen += [name] if fell else []
        rows.append(
            [
                name,
                points(comparison.baseline_scores[name]),
                points(comparison.system_scores[name]),
                f"{100 * difference.difference:+.2f}",
                f"{difference.p_randomization:.4f}",
                "FELL" if fell else "ok",
            ]
        )
    scored = {clip.id for clip in current.clips}
    lost = [clip.id for clip in baseline.clips if clip.id not in scored]
    print(
        f"{visible(current.name)} against the baseline {visible(baseline.name)} on {counted(comparison.clips, 'clip')}"
    )
    print(columns(rows))
    if lost:
        print(
            f"FAILED: {counted(len(lost), 'clip')} of the baseline without a caption now ({visible(lost[0])!r} is one)"
        )
    if fallen:
        print(f"FAILED: {', '.join(fallen)} fell (p below {alpha:.4f} = {args.alpha} over {len(metrics)} metrics)")
    if not fallen and not lost:
        print(f"passed: no score fell significantly (p below {alpha:.4f})")
    return 1 if fallen or lost else 0


def _current(args: argparse.Namespace) -> Evaluation:
    if args.references is None:
        return load_evaluation(args.current)
    return score_file(
        args.current,
        prepare_references(read_references(args.references, split=args.split), args),
        args,
    )
