"""``python -m eval run`` on a detector of anomalies: area under the ROC curve, equal error rate, events found."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from captioner.errors import DataError, VideoError, counted
from captioner.manifest import read_manifest
from captioner.safe.text import visible
from eval.report.table import check_outputs, write_text
from eval.scores.detection import by_category, intervals, score_film


def run(args: argparse.Namespace) -> int:
    """Score the films of a split, print and write. Exit 1 if a film could not be read."""
    from captioner.anomalies.watcher import Watcher

    clips = [clip for clip in read_manifest(args.manifest, split=args.split) if clip.path is not None][: args.limit]
    if not any(clip.abnormal for clip in clips):
        raise DataError(f"{args.manifest} marks nothing abnormal in {args.split}; see python -m data anomalies")
    reports = [Path(args.out) / name for name in ("report.json", "scores.jsonl")]
    check_outputs(reports, overwrite=args.overwrite)
    watcher = Watcher.load(args.checkpoint, alarms_per_hour=args.alarms_per_hour)
    films, rows, failed = [], [], 0
    for clip in clips:
        try:
            film = score_film(watcher, clip, timeout_seconds=args.timeout)
        except VideoError as error:
            failed += 1
            print(f"eval: {visible(clip.id)}: {visible(str(error))} [{error.code}]", file=sys.stderr)
            continue
        films.append(film)
        rows.append(json.dumps({"id": clip.id, "scores": film.scores.round(4).tolist()}))
    if not any(film.abnormal.any() and not film.abnormal.all() for film in films):
        raise DataError("no film with anomalies could be read")
    name = args.name or f"{Path(args.checkpoint).resolve().name} {watcher.checkpoint.fingerprint}"
    found, kinds = intervals(films), by_category(films)
    hours = sum(film.normal_hours for film in films)
    alarms = sum(film.false_alarms for film in films)
    print(f"{name}: {counted(len(films), 'film')}, {counted(sum(film.spans for film in films), 'abnormal span')}")
    for measure, interval in found.items():
        print(f"  {measure:<14}{100 * interval.score:6.2f}  ({100 * interval.low:.2f}-{100 * interval.high:.2f})")
    for kind, value in kinds.items():
        print(f"  AUC {kind:<10}{100 * value:6.2f}")
    print(f"  {alarms} false alarms in {hours:.2f} hours of normal footage; {args.alarms_per_hour:g} an hour accepted")
    values = {
        "name": name,
        "checkpoint": watcher.checkpoint.fingerprint,
        "films": len(films),
        "measures": {measure: asdict(interval) for measure, interval in found.items()},
        "categories": kinds,
        "alarms_per_hour": args.alarms_per_hour,
        "false_alarms": alarms,
        "normal_hours": hours,
    }
    texts = json.dumps(values, indent=1) + "\n", "".join(row + "\n" for row in rows)
    for report, text in zip(reports, texts, strict=True):
        write_text(report, text, overwrite=args.overwrite, make_folder=True)
        print(report)
    return 1 if failed else 0
