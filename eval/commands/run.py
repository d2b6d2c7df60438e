"""``python -m eval run``: caption a split with a checkpoint, score it and write the report."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from captioner.commands.settings import add_settings, search_settings
from captioner.language.config import SearchConfig
from captioner.manifest import SPLITS, read_manifest
from eval.commands.arguments import (
    add_checkpoint,
    add_device,
    add_overwrite,
    add_timeout,
    check_numbers,
    check_timeout,
)
from eval.commands.score import add_scoring_arguments, check_arguments, prepare_references, score_file
from eval.inputs.references import read_references
from eval.report.table import check_outputs, score_table, write_text

SHOWN = 6
"""Best, and worst, clips in the report."""
RENAMED = {"seed": "search_seed"}  # --seed is the bootstrap's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    parser.add_argument("manifest", metavar="MANIFEST", help="clips with captions (python -m data ...)")
    parser.add_argument("--out", metavar="DIR", required=True, help="results folder; an unfinished run resumes")
    parser.add_argument("--split", choices=SPLITS, default="test", help="split to caption (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="caption only the first N clips (a partial score)")
    parser.add_argument("--name", default="", help="name of the system (default: folder and fingerprint)")
    add_device(parser)
    add_overwrite(parser)
    add_timeout(parser)
    parser.add_argument(
        "--alarms-per-hour",
        type=float,
        default=1.0,
        metavar="N",
        help="anomalies: false alarms an hour to accept (default: %(default)s)",
    )
    search = parser.add_argument_group("search (defaults: the checkpoint's)")
    add_settings(search, SearchConfig, renamed=RENAMED)
    report = parser.add_argument_group("report")
    report.add_argument(
        "--no-images", action="store_true", help="leave the frames out, for clips that may not be published"
    )
    report.add_argument(
        "--show", type=int, default=SHOWN, metavar="N", help="number of best and of worst clips (default: %(default)s)"
    )
    add_scoring_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Caption, score, print and write. Exit 1 if a clip could not be captioned."""
    _check(args)
    from captioner.checkpoint.captioning import checkpoint_folder
    from captioner.checkpoint.files import is_for

    if is_for(checkpoint_folder(args.checkpoint), "actions"):
        from eval.commands.run_actions import run as run_actions

        return run_actions(args)
    if is_for(checkpoint_folder(args.checkpoint), "anomalies"):
        from eval.commands.run_anomalies import run as run_anomalies

        return run_anomalies(args)
    references = read_references(args.manifest, split=args.split)
    # Clips that nobody described cannot be scored; the report counts them.
    clips = [clip for clip in read_manifest(args.manifest, split=args.split) if clip.captions]
    if args.train:
        read_manifest(args.train, split="train")  # a wrong one is refused now, not after an hour
    from captioner.caption.captioner import Captioner
    from eval.inputs.captioning import PREDICTIONS, caption_clips, is_own, print_failures
    from eval.report.page import REPORTS, Subject, require_jinja, write_report

    require_jinja()
    captioner = Captioner.load(args.checkpoint, device=args.device)
    search = search_settings(captioner.search, args, renamed=RENAMED)
    out = Path(args.out)
    mine = args.overwrite or is_own(out)  # a run in it goes on, and writes its reports anew
    check_outputs([out / name for name in ("report.json", *REPORTS)], overwrite=mine)
    rows = caption_clips(captioner, clips, search=search, out=out, limit=args.limit, timeout_seconds=args.timeout)
    name = args.name or f"{Path(args.checkpoint).resolve().name} {captioner.checkpoint.fingerprint}"
    evaluation = score_file(str(out / PREDICTIONS), prepare_references(references, args), args, name=name)
    write_text(out / "report.json", evaluation.to_json(), overwrite=mine)
    subject = Subject(
        evaluation=evaluation,
        references=references,
        clips=clips[: args.limit],
        rows=rows,
        checkpoint=captioner.checkpoint,
        search=search,
    )
    train = read_manifest(args.train, split="train") if args.train else None
    written = write_report(subject, out, train=train, images=not args.no_images, show=args.show, overwrite=mine)
    print(score_table(evaluation))
    failed = print_failures(rows)
    for path in (out / "report.json", *written):
        print(path)
    return 1 if failed else 0


def _check(args: argparse.Namespace) -> None:
    """Raises DataError on numbers that make no sense."""
    check_arguments(args)
    check_numbers(args, {"limit": (1, math.inf), "show": (0, math.inf)})
    check_timeout(args)
