"""``captioner index``: captions an archive into an index that ``captioner find`` searches."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.commands.options import add_frames, add_inputs, add_loudness, add_run, named_inputs
from captioner.commands.settings import add_settings
from captioner.errors import UsageError, counted
from captioner.language.config import SearchConfig

if TYPE_CHECKING:
    from captioner.index.schema import Facts
    from captioner.index.writer import IndexWriter
    from captioner.io.inputs import Inputs
    from captioner.io.progress import Monitor

N_BEST = 4
"""Sentences kept of each clip, unless --n-best says otherwise."""

ABOUT = """\
Index video files for captioner find: a caption, words, a vector and a thumbnail of each clip, in one file.

PATH is what captioner caption takes. The same command given again indexes what is new or changed, recognises moved
files by their content and marks files that are gone. captioner find can read meanwhile."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files, folders, patterns, @LIST, - for stdin")
    parser.add_argument("-o", "--output", required=True, metavar="INDEX", help="the index, such as archive.db")
    parser.add_argument("-m", "--model", metavar="DIR", help="captioner's folder (default: the one in the package)")
    parser.add_argument("--retriever", metavar="DIR", help="retriever's folder (default: the one in the package)")
    add_loudness(parser)
    add_inputs(parser.add_argument_group("input"))
    group = parser.add_argument_group("output")
    group.add_argument("--from", dest="captions", metavar="FILE", help="captions that were made before (JSON Lines)")
    group.add_argument(
        "--parquet", metavar="FILE", help="write all rows and vectors to FILE too; without PATH, those of INDEX"
    )
    group.add_argument("--no-thumbnails", dest="thumbnails", action="store_false", help="keep no thumbnails")
    group.add_argument(
        "--features", action="store_true", help="keep features for captioner find --rerank: 28 KB a clip or shot"
    )
    group.add_argument("--failures", metavar="FILE", help="list failures here (default: INDEX.failures.jsonl)")
    group.add_argument("--overwrite", action="store_true", help="index everything again and replace the file")
    group.add_argument("--retry-failed", action="store_true", help="retry files that failed in an earlier run")
    group.add_argument("--dry-run", action="store_true", help="print what would happen to each file, and stop")
    group.add_argument("--log-json", action="store_true", help="write stderr as JSON Lines")
    add_run(parser.add_argument_group("run"))
    add_frames(parser.add_argument_group("frames"))
    add_settings(parser.add_argument_group("search (defaults: the checkpoint's)"), SearchConfig)
    parser.set_defaults(kind="index")


def run(options: argparse.Namespace) -> int:
    from captioner.io.progress import Monitor

    monitor = Monitor(quiet=options.quiet, as_json=options.log_json, verbose=options.verbose)
    if options.dry_run or not options.parquet:
        return _make(options, monitor)
    from captioner.index.table import write_table
    from captioner.outputs.parquet import import_pyarrow
    from captioner.safe.whole import refuse_to_replace

    import_pyarrow()  # before the work
    refuse_to_replace([options.parquet], overwrite=options.overwrite)
    status = _make(options, monitor) if options.paths or options.manifest or options.captions else 0
    rows = write_table(options.output, options.parquet, overwrite=options.overwrite)
    monitor.say(f"{counted(rows, 'row is', 'rows are')} in {options.parquet}")
    return status


def _make(options: argparse.Namespace, monitor: Monitor) -> int:
    if options.captions:
        if options.paths or options.manifest:
            raise UsageError("--from and PATH exclude each other: an index holds either clips or captions made before")
        if options.dry_run:
            raise UsageError("--dry-run is for files to caption; leave it out with --from")
        return _import(options, monitor)
    if not (options.paths or options.manifest):
        raise UsageError("give a PATH (a video file, a folder, a pattern, @LIST or -), a --manifest or --from")
    inputs = named_inputs(options)
    return _index(options, inputs, monitor)


def _index(options: argparse.Namespace, inputs: Inputs, monitor: Monitor) -> int:
    from captioner.archive.run import Archive
    from captioner.commands.engine import decode_pool, engine_of, settings_of
    from captioner.commands.models import load_alone
    from captioner.commands.reporting import captioned, exit_status, reported, say_plan
    from captioner.io.files import refuse_to_overwrite

    failures = Path(options.failures or f"{options.output}.failures.jsonl")
    refuse_to_overwrite((*(item.path for item in inputs.items), *inputs.lists), (options.output, failures))
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(decode_pool(options, most=len(inputs.items)))
        indexer: Any = load_alone(options)
        settings = settings_of(indexer, options)
        if options.n_best is None:
            settings = replace(settings, search=replace(settings.search, n_best=min(N_BEST, settings.search.beams)))
        writer = stack.enter_context(_opened(options, indexer.facts))
        archive = Archive(
            inputs.items,
            settings=settings,
            model=f"{indexer.facts.model} {indexer.facts.retriever}",
            journal=writer,
            retry_failed=options.retry_failed,
            stores=inputs.stores,
        )
        if writer is None or options.dry_run:
            return say_plan(archive, inputs, monitor)
        engine = engine_of(options, indexer, settings, pool, inputs.stores)
        run = reported(archive, engine, inputs, monitor, journal=Path(options.output), failures=failures)
        outcomes, ledger = stack.enter_context(run)
        for _ in captioned(writer.placed(outcomes), ledger, monitor, to_a_file=True):
            pass
    if options.features and archive.counts.done:
        _say_features(Path(options.output), monitor)
    return exit_status(archive.counts, inputs)


def _say_features(index: Path, monitor: Monitor) -> None:
    """How many rows earlier runs made without features, if any."""
    from captioner.index.schema import GET_FEATURES, connect, without_features

    with contextlib.closing(connect(index)) as connection:
        lacking = without_features(connection)
    if lacking:
        what = counted(lacking, "row of an earlier run has", "rows of earlier runs have")
        monitor.say(f"{what} no features; {GET_FEATURES}")


def _opened(options: argparse.Namespace, facts: Facts) -> contextlib.AbstractContextManager[IndexWriter | None]:
    """The index to write to; with --dry-run the one that is there to read, None where there is none."""
    from captioner.index.schema import check_ours
    from captioner.index.writer import IndexWriter
    from captioner.safe.whole import is_filled

    if not options.dry_run:
        return IndexWriter(options.output, facts, overwrite=options.overwrite)
    if options.overwrite:
        check_ours(Path(options.output))
    elif is_filled(options.output):
        return IndexWriter(options.output, facts, read_only=True)
    return contextlib.nullcontext()


def _import(options: argparse.Namespace, monitor: Monitor) -> int:
    from captioner.archive.engine import Outcome, Task
    from captioner.index.imported import facts_of, read_records
    from captioner.index.writer import IndexWriter
    from captioner.io.inputs import Item
    from captioner.retrieval.queries import Queries

    queries = Queries.load(options.retriever)
    files = rows = 0
    with IndexWriter(options.output, facts_of(queries), overwrite=options.overwrite) as writer:
        for record in read_records(Path(options.captions), queries):
            if writer.find(record["key"], record["path"]) is None:
                writer.append(record)
            writer.place(Outcome(task=Task(index=files, item=Item(path=record["path"]), key=record["key"])))
            files, rows = files + 1, rows + len(record["captions"])
    monitor.say(f"{options.output} has {counted(rows, 'caption')} of {counted(files, 'file')}")
    return 0
