"""``captioner index``: captions an archive into an index that ``captioner find`` searches."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.commands.options import add_frames, add_inputs, add_loudness, add_run, named_inputs
from captioner.commands.settings import add_settings
from captioner.errors import UsageError
from captioner.language.config import SearchConfig

if TYPE_CHECKING:
    from captioner.archive.engine import Settings
    from captioner.archive.pool import DecodePool
    from captioner.archive.run import Engine
    from captioner.index.indexer import Indexer
    from captioner.index.schema import Facts
    from captioner.index.writer import IndexWriter
    from captioner.io.inputs import Inputs
    from captioner.io.progress import Monitor

N_BEST = 4
"""Sentences kept of each clip, unless --n-best says otherwise."""

ABOUT = """\
Index video files for captioner find: a caption, words, a vector and a thumbnail of each clip, in one file.

PATH is what captioner caption takes. The same command given again resumes a stopped run and indexes what is new or
changed. It recognises moved files by their content and marks files that are gone. captioner find can read meanwhile."""


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
    group.add_argument("--failures", metavar="FILE", help="list failures here (default: INDEX.failures.jsonl)")
    group.add_argument("--overwrite", action="store_true", help="index everything again and replace the file")
    group.add_argument("--retry-failed", action="store_true", help="retry files that failed in an earlier run")
    group.add_argument("--dry-run", action="store_true", help="print what would happen to each file, and stop")
    group.add_argument("--log-json", action="store_true", help="write stderr as JSON Lines")
    add_run(parser.add_argument_group("run"))
    add_frames(parser.add_argument_group("frames"))
    add_settings(parser.add_argument_group("search (defaults: the checkpoint's)"), SearchConfig)


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
    monitor.say(f"{rows} rows are in {options.parquet}")
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
    from captioner.archive.engine import Settings
    from captioner.archive.run import Archive
    from captioner.commands.many import decode_pool, tell
    from captioner.commands.reporting import Ledger, say_plan, say_unlisted, show_progress, summary
    from captioner.commands.settings import override, search_settings
    from captioner.io.files import refuse_to_overwrite
    from captioner.io.platform import terminable

    failures = Path(options.failures or f"{options.output}.failures.jsonl")
    refuse_to_overwrite((*(item.path for item in inputs.items), *inputs.lists), (options.output, failures))
    with contextlib.ExitStack() as stack:
        stack.enter_context(terminable())
        local = options.engine == "local" and not options.dry_run
        pool = stack.enter_context(decode_pool(options, inputs)) if local else None
        indexer = _load(options)
        search = search_settings(indexer.search, options)
        if options.n_best is None:
            search = replace(search, n_best=min(N_BEST, search.beams))
        settings = Settings(video=override(indexer.video, options), search=search, segments=options.segments)
        writer = stack.enter_context(_opened(options, indexer.facts))
        model = f"{indexer.facts.model} {indexer.facts.retriever}"
        retry, stores = options.retry_failed, inputs.stores
        archive = Archive(
            inputs.items, settings=settings, model=model, journal=writer, retry_failed=retry, stores=stores
        )
        if writer is None or options.dry_run:
            return say_plan(archive, inputs, monitor)
        engine = _engine(options, indexer, settings, pool, inputs)
        say_unlisted(inputs, monitor)
        ended = "stopped"
        try:
            with Ledger(failures, monitor) as ledger:
                outcomes = archive.outcomes(engine, on_result=lambda counts: show_progress(monitor, counts))
                for _ in tell(writer.placed(outcomes), ledger, monitor, to_a_file=True):
                    pass
            ended = "done"
        finally:
            counts = archive.counts
            told = summary(ended, counts, inputs, journal=Path(options.output), failures=failures)
            monitor.end(told, ended=ended, **asdict(counts), unreadable=len(inputs.unreadable))
    return 1 if counts.failed or counts.failed_before or inputs.unreadable else 0


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


def _engine(
    options: argparse.Namespace, indexer: Indexer, settings: Settings, pool: DecodePool | None, inputs: Inputs
) -> Engine:
    from captioner.archive.fetched import caption_fetched
    from captioner.checkpoint.captioning import checkpoint_folder
    from captioner.commands.cluster import ray_engine
    from captioner.commands.many import fetching_of
    from captioner.retrieval.checkpoint import retriever_folder

    if pool is None:
        load = partial(type(indexer).load, thumbnails=options.thumbnails, device=options.device)
        folders = {"folder": checkpoint_folder(options.model), "retriever": retriever_folder(options.retriever)}
        return ray_engine(options, load=load, folders=folders, settings=settings)
    batch, fetching = options.batch_size, fetching_of(options, inputs)
    return lambda tasks: caption_fetched(
        tasks, indexer, settings=settings, pool=pool, batch_size=batch, fetching=fetching
    )


def _load(options: argparse.Namespace) -> Indexer:
    import torch

    from captioner.commands.models import loading
    from captioner.io.platform import keep_freed_memory

    keep_freed_memory()
    with loading():
        from captioner.index.indexer import Indexer

        indexer = Indexer.load(
            options.model, retriever=options.retriever, thumbnails=options.thumbnails, device=options.device
        )
    if indexer.device.type == "cpu":
        torch.set_num_threads(1)  # each child has a thread that encodes; and one thread gives the same bits anywhere
    return indexer


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
    monitor.say(f"{rows} captions of {files} files are in {options.output}")
    return 0
