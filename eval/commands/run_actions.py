"""``python -m eval run`` on a recogniser of actions: accuracy, average precision, confusions, calibration, mistakes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import DataError, counted
from captioner.manifest import Clip, read_manifest
from eval.report import plots
from eval.report.strips import try_strip
from eval.report.table import check_outputs, write_text
from eval.scores.recognition import Recognition, collect
from eval.scores.reliability import measure
from eval.scores.statistics import Interval

REPORTS = ("report.json", "report.html")


def run(args: argparse.Namespace) -> int:
    """Recognise, score, print and write. Exit 1 if a clip could not be decoded."""
    from captioner.actions.config import ActionSettings
    from captioner.actions.recognizer import Recognizer
    from captioner.actions.rows import ActionRows
    from eval.inputs.captioning import caption_clips, is_own, print_failures
    from eval.report.page import require_jinja

    require_jinja()
    clips = [clip for clip in read_manifest(args.manifest, split=args.split) if clip.labels]
    if not clips:
        raise DataError(f"{args.manifest} has no clip with labels in {args.split}; python -m data labels makes one")
    recognizer = Recognizer.load(args.checkpoint, device=args.device)
    unknown = {label for clip in clips for label in clip.labels} - set(recognizer.labels)
    known = [clip for clip in clips if set(clip.labels) <= set(recognizer.labels)]
    if not known:
        raise DataError(f"the checkpoint knows none of the {len(unknown)} labels of {args.manifest}")
    if unknown:
        left, lacking = counted(len(clips) - len(known), "clip"), ", ".join(sorted(unknown)[:3])
        print(f"eval: {left} left out: the checkpoint does not know {lacking}", file=sys.stderr)
    out = Path(args.out)
    mine = args.overwrite or is_own(out)  # a run in it goes on, and writes its reports anew
    check_outputs([out / name for name in REPORTS], overwrite=mine)
    rower, every = ActionRows(recognizer), ActionSettings(top=len(recognizer.labels))
    rows = caption_clips(rower, known, search=every, out=out, limit=args.limit, timeout_seconds=args.timeout)
    recognition, kept = collect(known[: args.limit], rows, recognizer.labels)
    intervals = recognition.intervals()
    name = args.name or f"{Path(args.checkpoint).resolve().name} {recognizer.checkpoint.fingerprint}"
    show = 0 if args.no_images else args.show
    written = write_report(recognition, intervals, kept, recognizer, out, name=name, show=show, overwrite=mine)
    print(f"{name}: {counted(len(kept), 'clip')} of {counted(len(recognition.labels), 'label')}")
    for measure_name, interval in intervals.items():
        low, high = 100 * interval.low, 100 * interval.high
        print(f"  {measure_name:<10}{100 * interval.score:6.2f}  ({low:.2f}-{high:.2f})")
    failed = print_failures(rows)
    for path in written:
        print(path)
    return 1 if failed else 0


def write_report(
    recognition: Recognition,
    intervals: dict[str, Interval],
    clips: Sequence[Clip],
    recognizer: Any,
    out: Path,
    *,
    name: str,
    show: int,
    overwrite: bool = False,
) -> list[Path]:
    """``report.json`` and ``report.html`` in ``out``; ``show`` of the surest mistakes with their frames."""
    from eval.report.page import environment

    confidence = recognition.found.max(axis=1)
    right = recognition.right()
    reliability = measure(confidence, right)
    wrong = sorted(np.flatnonzero(~right).tolist(), key=lambda i: -confidence[i])[:show]
    mistakes = [
        {
            "name": clips[i].id,
            "said": recognition.labels[int(recognition.found[i].argmax())],
            "actual": ", ".join(clips[i].labels),
            "confidence": float(confidence[i]),
            "strip": try_strip(clips[i], recognizer.video)[0],
        }
        for i in wrong
    ]
    confusion = recognition.confusion()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    pairs = sorted(
        ((int(confusion[a, b]), a, b) for a, b in np.argwhere(confusion).tolist() if a != b), key=lambda pair: -pair[0]
    )[:10]
    page = environment(html=True).get_template("actions.html.j2")
    html = page.render(
        title=name,
        clips=len(clips),
        fingerprint=recognizer.checkpoint.fingerprint,
        intervals=intervals,
        matrix=plots.matrix(shares, recognition.labels),
        reliability=reliability,
        curve=plots.reliability(reliability, what="clips"),
        pairs=[(count, recognition.labels[a], recognition.labels[b]) for count, a, b in pairs],
        mistakes=mistakes,
    )
    values = {
        "name": name,
        "checkpoint": recognizer.checkpoint.fingerprint,
        "clips": len(clips),
        "labels": list(recognition.labels),
        "measures": {name: asdict(interval) for name, interval in intervals.items()},
        "ece": reliability.ece,
        "confusion": confusion.tolist(),
    }
    for report, text in zip(REPORTS, (json.dumps(values, indent=1) + "\n", html), strict=True):
        write_text(out / report, text, overwrite=overwrite)
    return [out / "report.json", out / "report.html"]
