"""The command line: parse, call, report. Results on stdout, everything else on stderr, exit 0, 1 or 2.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from captioner import __version__
from captioner.config import SearchConfig, VideoConfig, load_recipe, to_dict
from captioner.errors import CaptionerError, VideoError

if TYPE_CHECKING:
    from captioner.pipeline import Caption, Captioner

FORMATS = ("txt", "jsonl", "json", "csv", "srt", "vtt", "coco")

_EXIT = "exit status: 0 all well, 1 something could not be done (each is named on stderr), 2 a wrong command"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("captioner: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout has gone (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CaptionerError as error:
        if os.environ.get("CAPTIONER_DEBUG"):
            raise
        print(f"captioner: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="captioner",
        description="Turn videos into sentences, offline, on an ordinary machine.",
        epilog=_EXIT + "; CAPTIONER_DEBUG=1 shows tracebacks",
    )
    parser.add_argument("--version", action="version", version=f"captioner {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, about, add, run in (
        ("caption", "caption video files", _add_caption, _caption),
        ("train", "train a captioner from a recipe", _add_train, _train),
        ("features", "fill the feature cache of a recipe", _add_recipe, _features),
        ("probe", "show what a video file holds and which frames would be looked at", _add_probe, _probe),
        ("info", "show what a checkpoint is and was trained on", _add_info, _info),
    ):
        command = commands.add_parser(name, help=about, description=about.capitalize() + ".", epilog=_EXIT)
        add(command)
        command.set_defaults(run=run)
    return parser


# --- caption ---------------------------------------------------------------------------------------------------


def _add_caption(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="video files (or images)")
    parser.add_argument("-m", "--model", metavar="DIR", help="checkpoint folder (default: the one in the package)")
    parser.add_argument("-f", "--format", choices=FORMATS, default="txt", help="output format (default: %(default)s)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write here instead of stdout")
    parser.add_argument("--start", type=float, metavar="SECONDS", help="caption from here on")
    parser.add_argument("--end", type=float, metavar="SECONDS", help="caption up to here")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for each file (default: 60)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("-q", "--quiet", action="store_true", help="no warnings on stderr, only errors")
    video = parser.add_argument_group("frames")
    video.add_argument("--frames", type=int, metavar="N", help="frames looked at")
    video.add_argument("--mode", choices=("exact", "segment"), help="segment: keyframes where they will do; faster")
    search = parser.add_argument_group("search (defaults: the checkpoint's)")
    search.add_argument("--beams", type=int, metavar="K", help="beam width; 1 is greedy")
    search.add_argument("--n-best", type=int, metavar="N", help="alternatives in json and jsonl")
    search.add_argument("--length-penalty", type=float, metavar="A", help="0 is none; higher favours long captions")
    search.add_argument("--min-length", type=int, metavar="L", help="tokens")
    search.add_argument("--max-length", type=int, metavar="L", help="tokens")
    search.add_argument("--no-repeat-ngram", type=int, metavar="N", help="no n-gram of N tokens twice")
    search.add_argument("--groups", type=int, metavar="G", help="diverse beam search: groups of beams")
    search.add_argument("--diversity", type=float, metavar="X", help="penalty for an earlier group's token")
    search.add_argument("--temperature", type=float, metavar="T", help="above 0: sample K captions, not search")
    search.add_argument("--top-k", type=int, metavar="K", help="sample from the K likeliest tokens")
    search.add_argument("--top-p", type=float, metavar="P", help="sample from the likeliest tokens of mass P")
    search.add_argument("--seed", type=int, metavar="S", help="of the samples")


def _caption(options: argparse.Namespace) -> int:
    from captioner.checkpoint import DEFAULT
    from captioner.outputs import WRITERS, named_txt
    from captioner.pipeline import Captioner

    captioner = Captioner.load(options.model or DEFAULT, device=options.device)
    search = _override(captioner.search, options)
    if options.beams is not None and options.n_best is None and search.n_best > options.beams:
        search = replace(search, n_best=options.beams)
    video = _override(captioner.video, options)
    failures = 0

    def captions() -> Iterator[Caption]:
        nonlocal failures
        for path in options.paths:
            try:
                caption = _one(captioner, path, options, video, search)
            except VideoError as error:
                failures += 1
                print(f"captioner: {path}: {error} [{error.code}]", file=sys.stderr)
                continue
            for warning in () if options.quiet else caption.warnings:
                print(f"captioner: {path}: warning: {warning}", file=sys.stderr)
            yield caption

    writer = named_txt if options.format == "txt" and len(options.paths) > 1 else WRITERS[options.format]
    with _output(options.output) as out:
        for text in writer(captions()):
            out.write(text)
            out.flush()
    if failures and len(options.paths) > 1:
        print(f"captioner: {failures} of {len(options.paths)} files could not be captioned", file=sys.stderr)
    return 1 if failures else 0


def _one(
    captioner: Captioner, path: str, options: argparse.Namespace, video: VideoConfig, search: SearchConfig
) -> Caption:
    return captioner.caption(
        path,
        start_seconds=options.start,
        end_seconds=options.end,
        video=video,
        search=search,
        timeout_seconds=options.timeout,
    )


def _override(config: Any, options: argparse.Namespace) -> Any:
    """The settings with those that the command line names replaced."""
    named = {f.name: getattr(options, f.name, None) for f in fields(config)}
    return replace(config, **{name: value for name, value in named.items() if value is not None})


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
        yield sys.stdout
        return
    try:
        with Path(path).open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
            yield out
    except OSError as error:
        raise CaptionerError(f"cannot write {path}: {error.strerror}") from error


# --- train and features ----------------------------------------------------------------------------------------


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="TOML file (see recipes/)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override a setting of the recipe; may be given many times",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_recipe(parser)
    parser.add_argument(
        "-o", "--out", metavar="DIR", help="run folder (default: runs/<recipe's name>); an unfinished run goes on"
    )


def _train(options: argparse.Namespace) -> int:
    recipe = load_recipe(options.recipe, overrides=tuple(options.set))
    from captioner.train import fit

    out = Path(options.out) if options.out else Path("runs") / Path(options.recipe).stem
    print(fit(recipe, out, quiet=options.quiet))
    return 0


def _features(options: argparse.Namespace) -> int:
    recipe = load_recipe(options.recipe, overrides=tuple(options.set))
    from captioner.corpus import training_clips, validation_sets
    from captioner.encoder import FrameEncoder
    from captioner.features import FeatureCache
    from captioner.log import TrainingLog

    log = TrainingLog(None, quiet=options.quiet)
    clips = [*training_clips(recipe.data)[0], *(c for group in validation_sets(recipe.data).values() for c in group)]
    encoder = None if recipe.train.train_encoder else FrameEncoder.load(recipe.encoder)
    cache = FeatureCache(recipe.data.cache, video=recipe.video, encoder=encoder)
    failures = cache.fill(clips, on_clip=log.counter("features", len(clips)))
    for clip, error in failures:
        print(f"captioner: {clip.path}: {error} [{error.code}]", file=sys.stderr)
    print(cache.folder)
    return 1 if failures else 0


# --- probe and info --------------------------------------------------------------------------------------------


def _add_probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="video files (or images)")


def _probe(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from captioner.video import probe

    failures = 0
    for path in options.paths:
        try:
            print(json.dumps({"path": path} | asdict(probe(path)), ensure_ascii=False))
        except VideoError as error:
            failures += 1
            print(f"captioner: {path}: {error} [{error.code}]", file=sys.stderr)
    return 1 if failures else 0


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="DIR", help="checkpoint folder (default: the one in the package)")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")


def _info(options: argparse.Namespace) -> int:
    import json

    from captioner.checkpoint import DEFAULT, load_checkpoint

    folder = Path(options.model) if options.model else DEFAULT
    loaded = load_checkpoint(folder)
    sections = {name: to_dict(getattr(loaded, name)) for name in ("video", "search")}
    model = loaded.model
    summary: dict[str, Any] = {
        "folder": str(folder),
        "fingerprint": loaded.fingerprint,
        "megabytes": round(sum(f.stat().st_size for f in folder.iterdir()) / 1e6, 1),
        "cnn": model.encoder.cnn_config().get("model_type"),
        "cnn_weights": sum(p.numel() for p in model.encoder.parameters()),
        "decoder_weights": sum(p.numel() for p in model.decoder.parameters()),
        "vocabulary": len(loaded.tokenizer),
        "decoder": to_dict(model.decoder.config),
        **sections,
        "calibration": to_dict(loaded.calibration) if loaded.calibration else "none: its confidence is not calibrated",
        "trained_on": loaded.trained_on,
    }
    if options.json:
        print(json.dumps(summary, indent=1))
        return 0
    for key, value in summary.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for name, inner in value.items():
                print(f"  {name}: {inner}")
        else:
            print(f"{key}: {value}")
    return 0
