"""``python -m data DATASET SOURCE --out DIR``: a published data set becomes ``DIR/manifest.jsonl``.

What was written is named on stdout; everything else goes to stderr. Exit 0: done, 1: the data cannot be used,
2: the command was not understood, 130: stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from captioner.cli import Parser
from captioner.io.program import run_program
from data.actions import actions
from data.captions import captions
from data.flickr8k import flickr8k
from data.folder import folder
from data.join import Join, report, write
from data.labels import labels
from data.msrvtt import msrvtt
from data.msvd import msvd
from data.vatex import vatex
from data.verbs import verbs, words


def build_parser() -> argparse.ArgumentParser:
    """One subcommand a data set; each sets ``build``, a function of the parsed arguments."""
    parser = Parser(
        prog="python -m data",
        description="Turn a data set in its published layout into a JSONL manifest.",
        epilog="docs/howto/data-sets.md describes each layout and the manifest.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="DATASET")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="output folder for manifest.jsonl and text.jsonl"
        )
        command.add_argument("--overwrite", action="store_true", help="replace existing files")
        return command

    for build, summary in (
        (msvd, "MSVD (YouTube2Text): clips, youtube_mapping.txt and captions"),
        (msrvtt, "MSR-VTT, 2016 layout: *_videodatainfo.json, plain or zipped"),
        (vatex, "VATEX: the JSON lists of train, validation and test"),
    ):
        command = add(build.__name__, summary)
        command.add_argument("source", type=Path, help="folder of the annotations")
        either = command.add_mutually_exclusive_group()
        either.add_argument("--videos", type=Path, metavar="DIR", help="folder of the videos (default: inside SOURCE)")
        either.add_argument("--text-only", action="store_true", help="write the train captions as text.jsonl only")
        command.set_defaults(
            build=lambda args, build=build: build(args.source, videos=args.videos, text_only=args.text_only)
        )

    _add_own_layouts(add)
    parser.commands = dict(commands.choices)
    return parser


def _add_own_layouts(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """The data sets whose commands have options of their own."""
    command = add("flickr8k", "Flickr8k: photos as one-frame clips")
    command.add_argument("source", type=Path, help="folder of Flickr8k.token.txt and the three image lists")
    command.add_argument("--photos", type=Path, metavar="PATH", help="folder or tar of the photos, if elsewhere")
    command.set_defaults(
        build=lambda args: flickr8k(args.source, out=args.out, photos=args.photos, overwrite=args.overwrite)
    )

    command = add("folder", "your own clips, with captions in captions.csv or in .txt files beside them")
    command.add_argument("source", type=Path, help="folder of clips; subfolders train, val and test are the splits")
    command.add_argument(
        "--split",
        type=_fractions,
        default=(0.8, 0.1, 0.1),
        metavar="80,10,10",
        help="percentages for train, val and test if there are no such subfolders",
    )
    command.add_argument("--no-check", action="store_true", help="do not check that each clip decodes")
    command.set_defaults(build=lambda args: folder(args.source, fractions=args.split, check=not args.no_check))

    command = add("actions", "clips in folders train/ACTION, val/ACTION, test/ACTION: 'a man is riding a horse'")
    command.add_argument("source", type=Path, help="folder with train, val and test; in each, one folder an action")
    command.set_defaults(build=lambda args: actions(args.source))

    command = add("labels", "clips with class labels: a folder a class, UCF101, HMDB51, or a table path,label")
    command.add_argument("source", type=Path, help="folder of the clips, or the table")
    command.add_argument("--number", type=int, default=1, metavar="N", help="published split (default: 1)")
    command.set_defaults(build=lambda args: labels(args.source, number=args.number))

    command = add("anomalies", "normal and abnormal footage: UCSD Ped1 and Ped2, CUHK Avenue, or your own folder")
    command.add_argument("layout", choices=("ucsd", "avenue", "folder"), help="layout of the folder")
    command.add_argument("source", type=Path, help="folder of the data set")
    command.set_defaults(build=_anomalies)

    for build, shared in ((verbs, "the verb that most captions"), (words, "all words that many captions")):
        command = add(build.__name__, f"labels from captions: {shared} of a clip share")
        command.add_argument("manifest", type=Path, help="manifest.jsonl of captioned clips")
        command.add_argument(
            "--at-least", type=int, default=8, metavar="N", help="least train clips a class (default: 8)"
        )
        command.set_defaults(build=lambda args, build=build: build(args.manifest, at_least=args.at_least))

    command = add("captions", "captions without clips, for the language model")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE", help=".txt, a caption a line, or COCO .json")
    command.set_defaults(build=lambda args: captions(args.files))

    rendered = "render small clips with known captions: 'two red circles move left'"
    command = _rendered(add("shapes", rendered), train=1500, val=96, test=192)
    command.add_argument("--size", type=int, default=96, metavar="PIXELS", help="side of the frame (default: 96)")
    rendered = "render surveillance footage of a walkway, with anomalies in the test clips"
    command = _rendered(add("walkway", rendered), train=8, val=4, test=24)
    command.add_argument("--seconds", type=int, default=60, metavar="N", help="seconds of a clip (default: 60)")
    rendered = "render graphics, to learn to be unsure of them: slides, screens, charts, cartoons"
    _rendered(add("pictures", rendered), train=700, val=0, test=0)
    rendered = "render clips labelled by the order of their frames: 'moves left', 'grows'"
    _rendered(add("order", rendered), train=600, val=120, test=300)


def _anomalies(args: argparse.Namespace) -> Join:
    from data.anomalies import anomalies  # numpy and PyAV: only when films are read

    return anomalies(args.layout, args.source, out=args.out, overwrite=args.overwrite)


def _rendered(command: argparse.ArgumentParser, **numbers: int) -> argparse.ArgumentParser:
    """A set that is rendered, by the function and module of the command's name: how many clips, and the seed."""
    for split, number in numbers.items():
        command.add_argument(f"--{split}", type=int, default=number, metavar="N", help=f"{split} clips ({number})")
    command.add_argument("--seed", type=int, default=1, metavar="N", help="random seed of the renderings (default: 1)")
    command.set_defaults(build=_render)
    return command


def _render(args: argparse.Namespace) -> Join:
    module = import_module(f"data.{args.command}")  # numpy and PyAV: only when clips are rendered
    options = {name: value for name, value in vars(args).items() if name not in ("command", "out", "build", "run")}
    return Join(clips=getattr(module, args.command)(args.out, **options))


def _fractions(text: str) -> tuple[float, float, float]:
    """``80,10,10`` as fractions."""
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers like 80,10,10") from None
    if not (min(train, val, test) >= 0 and abs(train + val + test - 100) < 1e-6):
        raise argparse.ArgumentTypeError(f"{text!r} must be three percentages that add up to 100")
    return train / 100, val / 100, test / 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. ``CAPTIONER_DEBUG=1`` shows the traceback of an error."""
    return run_program("data", lambda: _parse(arguments), lasting=arguments is None)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    args = build_parser().parse_args(arguments)
    args.run = _run
    return args


def _run(args: argparse.Namespace) -> int:
    result: Join = args.build(args)
    written = write(result, args.out, overwrite=args.overwrite)
    print(f"{args.command}: {report(result)}".replace("\n", "\n  "), file=sys.stderr)
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
