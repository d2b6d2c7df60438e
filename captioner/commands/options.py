"""The options of ``captioner caption``, and their checks before any file is read."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.commands.page import can_draw
from captioner.commands.settings import add_settings
from captioner.errors import ConfigError, UsageError
from captioner.language.config import SearchConfig
from captioner.outputs.parquet import FORMAT as PARQUET
from captioner.outputs.parquet import PARTITIONS, import_pyarrow
from captioner.outputs.writers import FORMATS

if TYPE_CHECKING:
    from captioner.io.inputs import Inputs, Shard

SIDECAR = "{folder}/{stem}.{format}"

_EVERYDAY = ("beams", "n_best", "min_confidence", "min_length", "max_length", "temperature", "seed")
"""The settings of the search that people change; the others come last in the help."""

ABOUT = """\
Caption video files: one, or whole archives.

PATH is a file, a folder, a pattern such as 'clips/*.mp4', or an address such as s3://bucket/clips/. A name @LIST is a
file with one name a line, and - is the same from stdin. Each file is captioned once, in the order given. Folders skip
hidden files and files without a video suffix.

With -o and more than one file, a journal beside the output (FILE.journal) keeps every result. The same command given
again captions only new and changed files. FILE.failures.jsonl lists each file that failed, with a code and a reason."""


def add(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    parser.set_defaults(kind="captions")
    if can_draw():
        parser.add_argument("--open", action="store_true", help="show the captions in the browser too (eval look)")
    add_settings(parser.add_argument_group("search (defaults: the checkpoint's)"), SearchConfig, only=_EVERYDAY)
    add_settings(parser.add_argument_group("search, rarely needed"), SearchConfig, but=_EVERYDAY)


def add_common(parser: argparse.ArgumentParser) -> None:
    """All but the settings of the search."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files, folders, patterns, @LIST, or - for stdin")
    parser.add_argument("-m", "--model", metavar="DIR", help="checkpoint folder or hub name (default: packaged)")
    add_loudness(parser)
    add_inputs(parser.add_argument_group("input"))
    _add_outputs(parser.add_argument_group("output"))
    add_run(parser.add_argument_group("run"))
    _add_watch(parser.add_argument_group("watch"))
    add_frames(parser.add_argument_group("frames"))


def add_loudness(parser: argparse.ArgumentParser) -> None:
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    loudness.add_argument("-v", "--verbose", action="store_true", help="print the evidence for each caption on stderr")


def add_frames(group: Any) -> None:
    group.add_argument("--segments", metavar="S", help="caption each shot (shots), or every S seconds")
    group.add_argument("--start", type=moment, metavar="TIME", help="start here: seconds, or 1:02:03.5")
    group.add_argument("--end", type=moment, metavar="TIME", help="end here")
    group.add_argument("--frames", type=int, metavar="N", help="frames to sample")
    group.add_argument("--mode", choices=("exact", "segment"), help="segment: use nearby keyframes; faster, not exact")


def formats(text: str, known: Collection[str] = (*FORMATS, PARQUET)) -> tuple[str, ...]:
    """Names of formats, separated by commas, each once; raises ArgumentTypeError."""
    names = tuple(dict.fromkeys(text.lower().split(",")))
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not a format; known: {', '.join(known)}")
    return names


def moment(text: str) -> float:
    """Seconds from ``75``, ``1:15`` or ``00:01:15.0``; raises ArgumentTypeError."""
    parts = text.split(":")
    with contextlib.suppress(ValueError, OverflowError):
        numbers = [float(part) for part in parts]
        whole = all(number == int(number) and number >= 0 for number in numbers[:-1])
        if len(parts) == 1 or (len(parts) <= 3 and whole and all(0 <= number < 60 for number in numbers[1:])):
            return sum(number * 60**i for i, number in enumerate(reversed(numbers)))
    raise argparse.ArgumentTypeError(f"{text!r} is not a time; give seconds (75) or hours, minutes, seconds (0:01:15)")


def add_inputs(group: Any) -> None:
    add_named(group)
    group.add_argument("--shard", metavar="I/N", help="process shard I of N (by file name)")
    group.add_argument("--scratch", metavar="DIR", help="fetch files of stores to here (default: the temporary folder)")
    group.add_argument("--ahead", type=int, default=8, metavar="N", help="files fetched ahead of decoding (default: 8)")
    group.add_argument("--retries", type=int, default=3, metavar="N", help="retries of a failed request (default: 3)")


def add_named(group: Any) -> None:
    """What belongs to the names of files."""
    group.add_argument("-r", "--recursive", action="store_true", help="search subfolders too")
    group.add_argument("--images", action="store_true", help="caption the photos of folders too")
    group.add_argument("--null", action="store_true", help="read lists that end names with NUL (find -print0)")
    group.add_argument("--manifest", action="append", default=[], metavar="FILE", help="caption a manifest's clips")
    group.add_argument("--split", choices=("train", "val", "test"), help="only this split of the manifest")


def _add_outputs(group: Any) -> None:
    group.add_argument(
        "-f",
        "--format",
        type=formats,
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}, {PARQUET}, or several with commas (default: the suffix of -o, else txt)",
    )
    group.add_argument(
        "-o", "--output", metavar="FILE", help="output file (default: stdout); with {stem} in it, one file a video"
    )
    group.add_argument(
        "--sidecar", action="store_true", help="write one file beside each video: -o '{folder}/{stem}.{format}'"
    )
    group.add_argument(
        "--partition-by", choices=PARTITIONS, help="-f parquet: -o is a folder, with a part for each (Hive's layout)"
    )
    group.add_argument("--words", action="store_true", help="add the attention of each word (json, jsonl)")
    group.add_argument("--journal", metavar="FILE", help="journal of results (default: beside the output)")
    group.add_argument("--failures", metavar="FILE", help="list of failures (default: beside the output)")
    group.add_argument("--overwrite", action="store_true", help="caption everything again and replace existing files")
    group.add_argument("--retry-failed", action="store_true", help="retry files that failed in an earlier run")
    group.add_argument("--dry-run", action="store_true", help="print what would happen to each file, and stop")
    group.add_argument("--log-json", action="store_true", help="write stderr as JSON Lines")


def add_run(group: Any) -> None:
    group.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="limit per file (default: 60)")
    group.add_argument(
        "--jobs", type=int, metavar="N", help="decoding processes (default: one a core, at most 16); actors with ray"
    )
    group.add_argument("--batch-size", type=int, default=16, metavar="N", help="clips in one search (default: 16)")
    group.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is one")
    group.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="local processes (default) or a Ray cluster"
    )


def _add_watch(group: Any) -> None:
    group.add_argument("--watch", action="store_true", help="keep running, and caption files that arrive later")
    group.add_argument(
        "--settle",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="with --watch: take a file that has not changed for this long (default: 5)",
    )
    group.add_argument("--metrics-port", type=int, metavar="PORT", help="serve metrics for Prometheus on 127.0.0.1")


def complete(options: argparse.Namespace) -> None:
    """Format and template of the output, and what contradicts itself."""
    from captioner.io.addresses import protocol
    from captioner.io.files import is_folder

    if not (options.paths or options.manifest):
        raise UsageError("give a PATH (a video file, a folder, a pattern, @LIST or -) or a --manifest")
    if options.paths.count("-") > 1:
        raise UsageError("stdin can be read only once: give - only once")
    if options.sidecar and options.output:
        raise UsageError("--sidecar and -o exclude each other; a name with {stem} in it, given to -o, does both")
    if options.split and not options.manifest:
        raise UsageError("--split needs a --manifest; give one")
    if options.output == "-":
        options.output = None
    settled = _check_parquet(options) or protocol(options.output or "")
    if options.output and not settled and (options.output.endswith(("/", os.sep)) or is_folder(options.output)):
        into = options.output.rstrip("/" + os.sep)
        raise UsageError(
            f"-o {options.output} is a folder; for one file per video give -o '{into}/{{stem}}.{{format}}'"
        )
    if options.format is None:
        suffix = Path(options.output or "").suffix.removeprefix(".").lower()
        options.format = ({"ndjson": "jsonl"}.get(suffix, suffix if suffix in FORMATS else "txt"),)
    if options.sidecar:
        options.output = SIDECAR
    options.template = bool(options.output) and "{" in options.output
    if len(options.format) > 1 and "{format}" not in (options.output or ""):
        raise UsageError("several formats need a name with {format} in it: --sidecar, or -o '{stem}.{format}'")
    if options.min_confidence is not None and not 0 <= options.min_confidence <= 1:
        raise UsageError(f"--min-confidence is {options.min_confidence}; it must be 0 to 1")


def _check_parquet(options: argparse.Namespace) -> bool:
    """Whether the output is a partitioned folder; raises UsageError for what Parquet cannot be."""
    by_suffix = options.format is None and Path(options.output or "").suffix.lower() == f".{PARQUET}"
    if by_suffix or (options.partition_by and options.format is None):
        options.format = (PARQUET,)
    if PARQUET not in (options.format or ()):
        if options.partition_by:
            raise UsageError("--partition-by is for -f parquet")
        return False
    if len(options.format) > 1 or options.sidecar or not options.output or "{" in options.output:
        raise UsageError("-f parquet is one file of all captions, or one folder with --partition-by; give -o and no {}")
    import_pyarrow()  # before the work
    return bool(options.partition_by)


def parse_parts(options: argparse.Namespace) -> Shard | None:
    """The shard; ``options.segments`` is parsed. Raises UsageError."""
    from captioner.caption.segments import parse_segments
    from captioner.io.inputs import Shard

    if options.ahead < 1 or options.retries < 0:
        wrong = f"--ahead is {options.ahead}" if options.ahead < 1 else f"--retries is {options.retries}"
        raise UsageError(f"{wrong}; it must be at least {int(options.ahead < 1)}")
    try:
        options.segments = parse_segments(options.segments) if options.segments is not None else None
        return Shard.parse(options.shard) if options.shard else None
    except ConfigError as error:
        raise UsageError(str(error)) from error


def named_inputs(options: argparse.Namespace) -> Inputs:
    """The files that the options name, or this shard of them; ``options.segments`` is parsed. Raises CaptionerError."""
    from captioner.io.inputs import find_inputs
    from captioner.io.stores import Stores

    shard = parse_parts(options)
    inputs = find_inputs(
        options.paths,
        recursive=options.recursive,
        images=options.images,
        null=options.null,
        manifests=options.manifest,
        split=options.split,
        start_seconds=options.start,
        end_seconds=options.end,
        stores=Stores(retries=options.retries),
    )
    if shard is None:
        return inputs
    return replace(inputs, items=tuple(item for item in inputs.items if shard.takes(item)))


def check_many(options: argparse.Namespace, inputs: Inputs) -> None:
    alone = any(form in FORMATS and FORMATS[form].of_one_video for form in options.format)
    if alone and not options.template and len(inputs.items) > 1:
        raise UsageError("subtitles belong to one video; with several give --sidecar, or -o '{stem}.{format}'")
    if options.overwrite and options.retry_failed:
        raise UsageError("--overwrite does everything again, failures too; leave --retry-failed out")


def check_watch(options: argparse.Namespace) -> None:
    """Raises UsageError for what a watched folder cannot be."""
    from captioner.io.addresses import is_web, shown
    from captioner.io.stores import Stores
    from captioner.safe.whole import is_regular

    for name in ("manifest", "dry_run", "open", "null"):
        if getattr(options, name, None):
            raise UsageError(f"--watch takes folders only; leave --{name.replace('_', '-')} out")
    if options.engine == "ray":
        raise UsageError("--watch runs on this machine; leave --engine ray out, and give each machine a --shard")
    for path in options.paths:
        if path == "-" or path.startswith("@") or is_web(path):
            raise UsageError(f"--watch takes folders, on this machine or in a store; {shown(path)} is not one")
    if not options.output:
        raise UsageError("--watch needs -o FILE (JSON Lines), or one file a video (--sidecar, or -o with {stem})")
    if Stores().takes(options.output) or not is_regular(options.output):
        raise UsageError(f"--watch writes to a local file; {shown(options.output)} is not one")
    if not options.template and options.format != ("jsonl",):
        raise UsageError("--watch adds lines to its output: give -f jsonl, or one file a video with {stem} in -o")
    if not 0 <= options.settle <= 86400:
        raise UsageError(f"--settle is {options.settle}; it must be 0 to 86400 seconds")
