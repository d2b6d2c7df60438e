"""``captioner burn``: a video with its captions in the picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import DataError
from captioner.io.files import refuse_to_overwrite
from captioner.safe.json_text import json_lines
from captioner.safe.text import read_text
from captioner.safe.whole import refuse_to_replace

if TYPE_CHECKING:
    from captioner.caption.result import Caption

ABOUT = """\
Draw captions into a video, for players and pages that show no subtitles.

    captioner caption film.mp4 --segments shots -f jsonl -o film.jsonl
    captioner burn film.mp4 film.jsonl -o film-captions.mp4

CAPTIONS are the JSON Lines of `captioner caption`; - reads them from stdin. Rows of other videos are left
out. The result is an MP4 (H.264 and AAC) of at most 1080 rows and 30 frames a second, with the sound of VIDEO."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", metavar="VIDEO", help="any video file")
    parser.add_argument("captions", metavar="CAPTIONS", help="JSON Lines; - is stdin")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="an MP4 file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this long (default: never)")


def run(options: argparse.Namespace) -> int:
    from captioner.outputs.burned import burn

    target = Path(options.output)
    refuse_to_overwrite([options.video, options.captions], [target])
    refuse_to_replace([target], overwrite=options.overwrite)
    captions = _of(options.video, _read(options.captions), source=options.captions)
    print(burn(options.video, captions, target, timeout_seconds=options.timeout, overwrite=options.overwrite))
    return 0


def _of(video: str, captions: list[Caption], *, source: str) -> list[Caption]:
    """The captions of one video: rows of a single path are taken whatever its name, for the video may have moved."""
    paths = {caption.path for caption in captions}
    if len(paths) < 2:
        return captions
    own = [caption for caption in captions if Path(caption.path).name == Path(video).name]
    if not own:
        raise DataError(f"{source} has captions of {len(paths)} videos and none of {video}; give the rows of one video")
    return own


def _read(source: str) -> list[Caption]:
    from captioner.outputs.rows import from_row

    try:
        text = sys.stdin.read() if source == "-" else read_text(source)
        return [from_row(row) for _, row in json_lines(text, name=source)]
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{source} is not what `captioner caption -f jsonl` writes: {error}") from error
