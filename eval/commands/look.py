"""``python -m eval look``: captions of any videos on one page, each over its frames and the attention of its words.

What a score cannot say: read twenty captions beside their frames before you believe one. The page needs nothing
beside it; it holds pictures of the videos, so think of their licences before you pass it on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import CaptionerError
from captioner.manifest import SPLITS, Clip
from captioner.safe.text import visible
from captioner.video.config import VideoConfig
from eval.commands.arguments import add_checkpoint, add_device, add_overwrite, check_numbers
from eval.report.table import check_outputs, write_text
from eval.report.views import SeenView, seen

if TYPE_CHECKING:
    from captioner.caption.captioner import Captioner
    from captioner.caption.result import Caption
    from captioner.io.inputs import Item

OTHERS = 2
"""Further hypotheses shown beside the caption."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A captioned video on the page."""

    name: str
    caption: str
    confidence: float | None
    others: tuple[str, ...]
    seen: SeenView


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="*", help="files, folders, patterns or @LIST, as for `captioner caption`"
    )
    parser.add_argument("--manifest", metavar="FILE", help="caption the clips of a manifest too")
    parser.add_argument("--split", choices=SPLITS, help="only this split of the manifest")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="caption only every Nth clip (default: all)")
    parser.add_argument("--out", metavar="FILE", default="look.html", help="output page (default: %(default)s)")
    parser.add_argument("--title", default="What it says", help="title of the page (default: %(default)s)")
    add_device(parser)
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Caption, write the page, name it on stdout. Exit 1 if a video could not be captioned."""
    check_numbers(args, {"every": (1, math.inf)})
    check_outputs([args.out], overwrite=args.overwrite)
    from captioner.caption.captioner import Captioner
    from captioner.io.inputs import find_inputs
    from eval.report.page import environment, require_jinja

    require_jinja()
    found = find_inputs(args.inputs, manifests=[args.manifest] if args.manifest else [], split=args.split)
    captioner = Captioner.load(args.checkpoint, device=args.device)
    looks, failures = look(captioner, found.items[:: args.every])
    failures += [(folder.path, folder.reason) for folder in found.unreadable]
    for name, reason in failures:
        print(f"eval: {visible(reason if name in reason else f'{name}: {reason}')}", file=sys.stderr)
    if not looks:
        raise CaptionerError(f"nothing was captioned; {args.out} is not written")
    template = environment(html=True).get_template("look.html.j2")
    fingerprint = captioner.checkpoint.fingerprint
    page = template.render(title=args.title, looks=looks, failures=failures, fingerprint=fingerprint)
    write_text(args.out, page, overwrite=args.overwrite)
    print(args.out)
    return 1 if failures else 0


def look(captioner: Captioner, items: Sequence[Item]) -> tuple[list[Look], list[tuple[str, str]]]:
    """Each video as the page shows it, and those that cannot be captioned, each with its reason."""
    looks, failures = list[Look](), list[tuple[str, str]]()
    search = replace(captioner.search, n_best=min(1 + OTHERS, captioner.search.beams))
    for item in items:
        name = item.id or Path(item.path).name
        try:
            caption = captioner.caption(
                item.path, start_seconds=item.start_seconds, end_seconds=item.end_seconds, search=search
            )
        except CaptionerError as error:
            failures.append((name, str(error)))
            continue
        looks.append(_look(name, caption, item, video=captioner.video))
    return looks, failures


def _look(name: str, caption: Caption, item: Item, *, video: VideoConfig) -> Look:
    from captioner.outputs.rows import row

    start, end = item.start_seconds, item.end_seconds
    clip = Clip(id=name, path=Path(item.path), split="", captions=(), start_seconds=start, end_seconds=end)
    return Look(
        name=name,
        caption=caption.text,
        confidence=caption.confidence,
        others=tuple(other.text for other in caption.alternatives[1 : 1 + OTHERS]),
        seen=seen(row(caption), source=clip, video=video),
    )
