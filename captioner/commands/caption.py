"""``captioner caption``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from captioner.config import SearchConfig, VideoConfig
from captioner.errors import CaptionerError, VideoError

if TYPE_CHECKING:
    from captioner.pipeline import Caption, Captioner

FORMATS = ("txt", "jsonl", "json", "csv", "srt", "vtt", "coco")


def add(parser: argparse.ArgumentParser) -> None:
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


def run(options: argparse.Namespace) -> int:
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
