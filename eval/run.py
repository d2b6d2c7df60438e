"""Caption a split through the product's own pipeline, from the video files, then score it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from captioner.errors import DataError, VideoError
from captioner.manifest import Clip, read_manifest
from eval import score

if TYPE_CHECKING:
    from captioner.pipeline import Captioner

PREDICTIONS = "predictions.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CHECKPOINT, MANIFEST, where to and how to score."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="checkpoint folder, or 'default' for the package's own"
    )
    parser.add_argument("references", metavar="MANIFEST", help="clips and their captions (python -m data ...)")
    parser.add_argument("--split", default="test", help="default: %(default)s")
    parser.add_argument("--out", required=True, metavar="DIR", help="predictions.jsonl and report.json go here")
    score.add_scoring_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit 1 when a clip could not be captioned; the others are captioned and scored all the same."""
    score.check_arguments(args)
    clips = read_manifest(args.references, split=args.split)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    failed = caption_split(args.checkpoint, clips, out / PREDICTIONS)
    args.predictions, args.name = str(out / PREDICTIONS), Path(args.checkpoint).name
    args.json, args.csv = str(out / "report.json"), None
    score.run(args)
    return 1 if failed else 0


def caption_split(checkpoint: str, clips: list[Clip], path: Path) -> int:
    """Append a row for each clip that ``path`` lacks, as it is made; returns how many clips failed.

    Raises DataError when ``path`` holds captions of another checkpoint, so that two models never mix in one file.
    """
    from captioner.pipeline import Captioner

    captioner = Captioner.load(None if checkpoint == "default" else checkpoint)
    done = _read(path)
    for row in done.values():
        if row.get("model") != captioner.checkpoint.fingerprint:
            raise DataError(f"{path} holds captions of another checkpoint; choose another --out or delete it")
    with path.open("a", encoding="utf-8") as out:
        for number, clip in enumerate(clips, start=1):
            if clip.id not in done and clip.path is not None:
                done[clip.id] = _write(out, _caption(captioner, clip))
            if sys.stderr.isatty():
                print(f"\r{number}/{len(clips)}", end="\n" if number == len(clips) else "", file=sys.stderr, flush=True)
    return sum("error" in done.get(clip.id, {}) for clip in clips)


def _caption(captioner: Captioner, clip: Clip) -> dict[str, Any]:
    from captioner.outputs import row

    assert clip.path is not None
    try:
        caption = captioner.caption(clip.path, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds)
    except VideoError as error:
        print(f"eval: {clip.path}: {error} [{error.code}]", file=sys.stderr)
        failure = {"path": str(clip.path), "error": str(error), "code": error.code}
        return {"id": clip.id} | failure | {"model": captioner.checkpoint.fingerprint}
    return {"id": clip.id} | row(caption)


def _write(out: TextIO, row: dict[str, Any]) -> dict[str, Any]:
    out.write(json.dumps(row, ensure_ascii=False) + "\n")
    out.flush()
    return row


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The rows that are whole, by id; a line cut short by a kill is dropped from the file."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    try:
        rows = [json.loads(line) for line in whole.splitlines()]
        return {row["id"]: row for row in rows}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a file of predictions: {error}") from error
