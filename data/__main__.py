"""``python -m data DATASET SOURCE --out DIR``: a published data set becomes ``DIR/manifest.jsonl``.

What was written is named on stdout; everything else goes to stderr. Exit 0: done, 1: the data cannot be used,
2: the command was not understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from captioner.errors import CaptionerError
from data.flickr8k import flickr8k
from data.join import Join, report, write
from data.msrvtt import msrvtt
from data.msvd import msvd


def build_parser() -> argparse.ArgumentParser:
    """One subcommand a data set; each sets ``run``, a function of the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m data",
        description="Turn a data set in its published layout into one JSONL manifest that captioner trains on.",
        epilog="docs/data.md describes each layout and the manifest.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="DATASET")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="folder for manifest.jsonl and text.jsonl"
        )
        return command

    for name, summary in (
        ("msvd", "MSVD (YouTube2Text): clips, youtube_mapping.txt and captions"),
        ("msrvtt", "MSR-VTT, 2016 layout: *_videodatainfo.json, plain or zipped"),
    ):
        command = add(name, summary)
        command.add_argument("source", type=Path, help="folder of the annotations")
        command.add_argument("--videos", type=Path, metavar="DIR", help="folder of the videos, if elsewhere")
        command.add_argument("--text-only", action="store_true", help="no videos: write the train captions as text")
    commands.choices["msvd"].set_defaults(
        run=lambda args: msvd(args.source, videos=args.videos, text_only=args.text_only)
    )
    commands.choices["msrvtt"].set_defaults(
        run=lambda args: msrvtt(args.source, videos=args.videos, text_only=args.text_only)
    )

    command = add("flickr8k", "Flickr8k: photos as one-frame clips")
    command.add_argument("source", type=Path, help="folder of Flickr8k.token.txt and the three image lists")
    command.add_argument("--photos", type=Path, metavar="PATH", help="folder or tar of the photos, if elsewhere")
    command.set_defaults(run=lambda args: flickr8k(args.source, out=args.out, photos=args.photos))

    command = add("shapes", "render small clips with known captions: 'two red circles move left'")
    for split, number in (("train", 1500), ("val", 96), ("test", 192)):
        command.add_argument(f"--{split}", type=int, default=number, metavar="N", help=f"{split} clips ({number})")
    command.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other renderings (1)")
    command.add_argument("--size", type=int, default=96, metavar="PIXELS", help="side of the square frame (96)")
    command.set_defaults(run=_shapes)
    return parser


def _shapes(args: argparse.Namespace) -> Join:
    from data.shapes import shapes  # numpy and PyAV: only when clips are rendered

    return Join(clips=shapes(args.out, train=args.train, val=args.val, test=args.test, seed=args.seed, size=args.size))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. ``CAPTIONER_DEBUG=1`` shows the traceback of an error."""
    args = build_parser().parse_args(arguments)
    try:
        result: Join = args.run(args)
        written = write(result, args.out)
    except (CaptionerError, OSError) as error:
        if os.environ.get("CAPTIONER_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(f"{args.command}: {report(result)}".replace("\n", "\n  "), file=sys.stderr)
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
