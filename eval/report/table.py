"""Plain text for a terminal, CSV for a spreadsheet."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from captioner.outputs.spreadsheet import csv_line
from captioner.safe.text import visible
from captioner.safe.whole import refuse_to_replace, write_whole
from eval.scores.evaluation import Evaluation


def points(score: float) -> str:
    """A score as tables print it: times 100, two decimals."""
    return f"{100 * score:.2f}"


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows as aligned columns: the first to the left, the others to the right."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def score_table(evaluation: Evaluation) -> str:
    """What ``eval score`` prints."""
    coverage, partial = evaluation.coverage, evaluation.partial
    heading = f"{evaluation.name} against {evaluation.references}"
    heading += f" ({evaluation.split})" if evaluation.split else ""
    over = f"score on {coverage.scored} of {coverage.references} clips" if partial else "score"
    rows = [["metric", over, "95 % interval"]]
    for name, interval in evaluation.scores.items():
        rows.append([name, points(interval.score), f"{points(interval.low)} to {points(interval.high)}"])
    rows += [[name, points(value), ""] for name, value in evaluation.extras.items()]
    parts = [visible(heading), columns(rows), coverage_line(evaluation), diversity_lines(evaluation)]
    parts += [f"warning: {warning}" for warning in evaluation.warnings]
    return "\n".join([*parts, f"signature: {evaluation.signature}"])


def coverage_line(evaluation: Evaluation) -> str:
    """Counts of the clips that are scored, missing, failed, empty and so on."""
    coverage = evaluation.coverage
    counts = {
        "missing": coverage.missing,
        "failed": coverage.failed,
        "empty": coverage.empty,
        "extra": coverage.extra,
        "duplicate": coverage.duplicates,
        "without references": coverage.without_references,
    }
    listed = ", ".join(f"{name} {len(clips)}" for name, clips in counts.items())
    return f"clips: {coverage.scored} scored of {coverage.references} with references; {listed}"


def diversity_lines(evaluation: Evaluation) -> str:
    """The figures of :class:`eval.scores.diversity.Diversity`."""
    d = evaluation.diversity
    lines = [
        f"lengths: {d.mean_words:.1f} words on average, {d.shortest_words} to {d.longest_words}; "
        f"references {d.mean_reference_words:.1f}",
        f"words: {d.vocabulary} different, {d.reference_vocabulary} in the references; "
        f"distinct-1 {d.distinct_1:.3f}, distinct-2 {d.distinct_2:.3f}",
        f"captions: {100 * d.unique_share:.1f} % different; {100 * d.repeated_share:.1f} % of clips share theirs with "
        f"another, {100 * d.most_common_share:.1f} % have {visible(d.most_common)!r}",
    ]
    if d.novel_share is not None:
        lines.append(f"novel: {100 * d.novel_share:.1f} % are not among the training captions")
    if d.self_cider is not None:
        lines.append(f"n-best: {d.n_best} a clip, self-CIDEr {d.self_cider:.3f} (0 all alike, 1 nothing in common)")
    return "\n".join(lines)


def clip_csv(evaluation: Evaluation) -> str:
    """One row a clip with its own scores, in coco-caption's units; missing and failed clips without scores."""
    names = list(evaluation.scores)
    lines = [csv_line(["id", "status", "caption", *names, "words", "references", "category"])]
    without = dict.fromkeys(evaluation.coverage.missing, "missing")
    without |= dict.fromkeys(evaluation.coverage.failed, "failed")
    for clip in evaluation.clips:  # with --missing empty also those without a caption
        values = [f"{clip.scores[name]:.6f}" for name in names]
        facts = (clip.words, len(clip.references), clip.category or "")
        lines.append(csv_line([clip.id, without.pop(clip.id, "scored"), clip.caption, *values, *facts]))
    lines += [csv_line([clip, status, "", *[""] * len(names), "", "", ""]) for clip, status in without.items()]
    return "".join(lines)


def check_outputs(paths: Iterable[str | Path | None], *, overwrite: bool) -> None:
    """Raise CaptionerError, before any work, for an output file that exists; ``-`` is stdout."""
    refuse_to_replace([path for path in paths if path != "-"], overwrite=overwrite)


def write_text(path: str | Path, text: str, *, overwrite: bool, make_folder: bool = False) -> None:
    """Write a file; ``-`` is stdout. ``make_folder`` makes its folder, ``overwrite`` replaces an existing file."""
    if path == "-":
        sys.stdout.write(text)
    else:
        write_whole(path, text, overwrite=overwrite, make_folder=make_folder)
