"""``captioner merge``: the rows of several runs in one file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.commands.options import add_named
from captioner.errors import CaptionerError, UsageError, counted
from captioner.outputs.parquet import FORMAT as PARQUET
from captioner.outputs.parquet import import_pyarrow, write_parquet
from captioner.outputs.rows import from_row
from captioner.outputs.writers import FORMATS, writer

if TYPE_CHECKING:
    from captioner.archive.merge import Merge
    from captioner.io.inputs import Item
    from captioner.io.progress import Monitor

_KINDS = (*(name for name, form in FORMATS.items() if not form.of_one_video), PARQUET)
_NAMED_CONFLICTS = 20

ABOUT = """\
Merge the rows of several runs, such as the shards of an archive, into one file.

    captioner merge captions-1.jsonl captions-2.jsonl -o captions.jsonl
    captioner merge captions-?.jsonl -o captions.jsonl --expect /archive -r

FILE is what `captioner caption -f jsonl` wrote. Rows come in the order of --expect, else of the folder. Equal rows are
written once. If rows of a clip differ, nothing is written unless --prefer chooses.

OUT.failures.jsonl lists every file without a row. The exit status is 1 if there are any, if a line is malformed or if a
shard is missing."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="JSON Lines of captioner caption")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="file for all rows")
    parser.add_argument("-f", "--format", choices=_KINDS, help="default: the suffix of -o, else jsonl")
    parser.add_argument(
        "--prefer", choices=("first", "last"), help="of rows that differ, take that of the first or the last FILE"
    )
    parser.add_argument("--failures", metavar="FILE", help="list of files without a row (default: beside OUT)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    group = parser.add_argument_group("expected files")
    group.add_argument(
        "--expect", action="append", default=[], metavar="PATH", help="files, a folder, a pattern or @LIST to be there"
    )
    add_named(group)


def run(options: argparse.Namespace) -> int:
    from captioner.archive.merge import Merge
    from captioner.io.files import refuse_to_overwrite
    from captioner.io.progress import Monitor
    from captioner.safe.whole import refuse_to_replace

    failures = Path(options.failures or f"{options.output}.failures.jsonl")
    refuse_to_overwrite(options.files, [options.output, failures])
    refuse_to_replace([options.output, failures], overwrite=options.overwrite)
    monitor = Monitor(quiet=options.quiet)
    suffix = Path(options.output).suffix.removeprefix(".").lower()
    form = options.format or (suffix if suffix in _KINDS else "jsonl")
    if form == PARQUET:
        import_pyarrow()  # before the work
    with Merge(options.files, expected=_expected(options)) as merge:
        malformed = 0
        for line in merge.read():
            monitor.failure(line.where, "malformed", line.problem)
            malformed += 1
        _refuse_conflicts(merge, monitor, prefer=options.prefer)
        lacking = _write_lacking(merge, failures, monitor, overwrite=options.overwrite)
        _write(merge, form, options)
        missing = merge.missing_shards()
        if missing:
            monitor.say(f"no file has shard {', '.join(missing)}")
        monitor.say(_summary(merge, malformed=malformed, lacking=lacking, output=options.output, failures=failures))
    return 1 if malformed or lacking or missing else 0


def _expected(options: argparse.Namespace) -> tuple[Item, ...]:
    from captioner.io.inputs import find_inputs
    from captioner.io.stores import Stores

    if not (options.expect or options.manifest):
        if options.recursive or options.images or options.null or options.split:
            raise UsageError("-r, --images, --null and --split need --expect or --manifest; give one of these")
        return ()
    found = find_inputs(
        options.expect,
        recursive=options.recursive,
        images=options.images,
        null=options.null,
        manifests=options.manifest,
        split=options.split,
        stores=Stores(),
    )
    for folder in found.unreadable:
        raise CaptionerError(f"--expect {folder.path} cannot be listed: {folder.reason}")
    return found.items


def _refuse_conflicts(merge: Merge, monitor: Monitor, *, prefer: str | None) -> None:
    """Name the clips whose rows differ; raises CaptionerError unless it is said which to take."""
    count = 0
    for conflict in merge.conflicts():
        count += 1
        if prefer is None and count <= _NAMED_CONFLICTS:
            where = " and ".join(conflict.places)
            monitor.failure(conflict.path, "conflict", f"{where} differ in {', '.join(conflict.keys)}")
    if count and prefer is None:
        raise CaptionerError(
            f"{counted(count, 'clip has', 'clips have')} rows that differ, and nothing was written; "
            "choose with --prefer first or --prefer last (of the files as they are given)"
        )


def _write_lacking(merge: Merge, ledger: Path, monitor: Monitor, *, overwrite: bool) -> dict[str, int]:
    """List the files without a row where there are any; how many failed, and how many are missing."""
    from captioner.safe.whole import WholeFile

    counts: dict[str, int] = {}
    lacking = merge.lacking()
    first = next(lacking, None)
    if first is None:
        ledger.unlink(missing_ok=True)  # an earlier list is out of date
        return counts
    with WholeFile(ledger, overwrite=overwrite) as out:
        for lack in (first, *lacking):
            kind = "missing" if lack.code == "missing" else "failed"
            counts[kind] = counts.get(kind, 0) + 1
            monitor.failure(lack.item.path, lack.code, lack.error)
            name = {"id": lack.item.id} if lack.item.id else {}
            values = {"path": lack.item.path, **name, "code": lack.code, "error": lack.error}
            out.write(json.dumps(values, ensure_ascii=False) + "\n")
    return counts


def _write(merge: Merge, form: str, options: argparse.Namespace) -> None:
    from captioner.safe.whole import WholeFile

    rows = merge.merged(prefer=options.prefer or "first")
    captions = (from_row(row) for row in rows)
    if form == PARQUET:
        write_parquet(captions, options.output, overwrite=options.overwrite)
        return
    with WholeFile(options.output, overwrite=options.overwrite) as out:
        if form == "jsonl":  # as they are, with what a caption does not hold
            for row in rows:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            for text in writer(form, words=True, many=True)(captions):
                out.write(text)


def _summary(merge: Merge, *, malformed: int, lacking: dict[str, int], output: str, failures: Path) -> str:
    parts = [f"{output} has {counted(merge.rows, 'row')} from {counted(len(merge.files), 'file')}"]
    if merge.repeated:
        parts.append(f"{counted(merge.repeated, 'duplicate row')} left out")
    if merge.unexpected:
        parts.append(f"{counted(merge.unexpected, 'row')} of unexpected files, at the end")
    if malformed:
        parts.append(f"{counted(malformed, 'malformed line')} left out")
    if lacking:
        parts.append(", ".join(f"{count} {kind}" for kind, count in lacking.items()) + f", see {failures}")
    return "; ".join(parts)
