"""``captioner caption --watch``: captions what lies in folders, then what comes, until a signal stops it."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from captioner.archive.engine import Outcome, caption_tasks, cores
from captioner.archive.journal import Journal
from captioner.archive.pool import DecodePool
from captioner.archive.run import Archive, Counts
from captioner.commands.many import MOST_JOBS, load_alone, open_journal, settings_of, tell, write_each
from captioner.commands.places import Places, claim, find_places
from captioner.commands.reporting import Ledger, metered, summary
from captioner.errors import ConfigError, UsageError
from captioner.io.arrivals import Arrivals
from captioner.io.growing import GrowingFile
from captioner.io.inputs import Inputs, Item, Shard
from captioner.io.progress import Monitor
from captioner.outputs.writers import writer

if TYPE_CHECKING:
    from captioner.caption.clips import ClipModel


def run_watch(options: argparse.Namespace, monitor: Monitor) -> int:
    """Caption what is in the folders and what comes; ends by a signal (KeyboardInterrupt) or an error."""
    from captioner.caption.segments import parse_segments

    try:
        shard = Shard.parse(options.shard) if options.shard else None
        options.segments = parse_segments(options.segments) if options.segments is not None else None
    except ConfigError as error:
        raise UsageError(str(error)) from error
    folders = [path.rstrip(os.sep) or os.sep for path in options.paths]
    inputs = Inputs(items=tuple(Item(path=os.path.join(folder, "_")) for folder in folders))  # noqa: PTH118
    places = find_places(options, inputs)
    with contextlib.ExitStack() as stack:
        arrivals = Arrivals(
            folders,
            recursive=options.recursive,
            images=options.images,
            settle_seconds=options.settle,
            takes=shard.takes if shard else lambda item: True,
            make=lambda path: Item(path=path, start_seconds=options.start, end_seconds=options.end),
            say=monitor.say,
        )
        assert places.journal is not None
        journal = stack.enter_context(open_journal(places.journal, options, monitor))
        claim(journal, places, options)
        jobs = min(options.jobs or MOST_JOBS, cores())
        pool = stack.enter_context(DecodePool(workers=jobs, timeout_seconds=options.timeout))
        captioner = load_alone(options)
        stack.enter_context(arrivals)
        _follow(arrivals, captioner, pool, options, places, journal, monitor)
    return 1  # a watch has no end of its own


def _follow(
    arrivals: Arrivals,
    captioner: ClipModel,
    pool: DecodePool,
    options: argparse.Namespace,
    places: Places,
    journal: Journal,
    monitor: Monitor,
) -> None:
    settings = settings_of(captioner, options)
    archive = Archive(
        arrivals,
        settings=settings,
        model=captioner.checkpoint.fingerprint,
        journal=journal,
        retry_failed=options.retry_failed,
    )

    def show(counts: Counts) -> None:
        monitor.watching(
            captioned=counts.captioned,
            known=counts.done,
            failed=counts.failed + counts.failed_before,
            waiting=arrivals.waiting + counts.total - counts.settled,
        )

    with metered(options.metrics_port, archive, monitor, waiting=lambda: arrivals.waiting) as timed:
        engine = timed(
            lambda tasks: caption_tasks(tasks, captioner, settings=settings, pool=pool, batch_size=options.batch_size)
        )
        try:
            with Ledger(places.failures, monitor, grows=True) as ledger:
                outcomes = _there(archive.outcomes(engine, on_result=show))
                captioned = tell(outcomes, ledger, monitor, to_a_file=True)
                _write(captioned, options, places, archive, ledger, journal)
        finally:
            counts = archive.counts
            ended = summary("stopped", counts, Inputs(items=()), journal=places.journal, failures=places.failures)
            monitor.end(ended, ended="stopped", **asdict(counts), unreadable=0)


def _there(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """The outcomes but for files that were moved or deleted before they were read."""
    for outcome in outcomes:
        gone = outcome.failure is not None and outcome.failure.code == "not_found"
        if not (gone and not os.path.lexists(outcome.task.item.path)):
            yield outcome


def _write(
    outcomes: Iterable[Outcome],
    options: argparse.Namespace,
    places: Places,
    archive: Archive,
    ledger: Ledger,
    journal: Journal,
) -> None:
    if places.templates:
        writers = {f: writer(f, words=options.words, segments=bool(options.segments)) for f in options.format}
        write_each(outcomes, writers, places, archive, ledger, journal=journal, overwrite=options.overwrite)
        return
    assert places.output is not None
    write = writer("jsonl", words=options.words)
    if options.overwrite:
        places.output.unlink(missing_ok=True)
    with GrowingFile(places.output) as out:
        for outcome in outcomes:
            out.write("".join(write(outcome.captions)))
