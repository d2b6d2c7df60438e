"""``captioner burn``: a video with its captions in the picture."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import CaptionerError, DataError

if TYPE_CHECKING:
    from captioner.caption.result import Caption

ABOUT = """\
Draw captions into a video, for players and pages that show no subtitles.

    captioner caption film.mp4 --segments shots -f jsonl -o film.jsonl
    captioner burn film.mp4 film.jsonl -o film-captions.mp4

CAPTIONS are the JSON Lines of `captioner caption`; - reads them from stdin. The result is an MP4 (H.264 and AAC) of
at most 1080 rows and 30 frames a second, with the sound of VIDEO."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", metavar="VIDEO", help="any video file")
    parser.add_argument("captions", metavar="CAPTIONS", help="JSON Lines; - is stdin")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="an MP4 file")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this long (default: never)")


def run(options: argparse.Namespace) -> int:
    from captioner.outputs.burned import burn

    target = Path(options.output)
    if target.exists() and not options.overwrite:
        raise CaptionerError(f"{target} exists; --overwrite replaces it")
    print(burn(options.video, _read(options.captions), target, timeout_seconds=options.timeout))
    return 0


def _read(source: str) -> list[Caption]:
    from captioner.outputs.writers import from_row

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        return [from_row(json.loads(line)) for line in text.splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{source} is not what `captioner caption -f jsonl` writes: {error}") from error
