"""``captioner caption --watch``: captions what lies in folders, then what comes, until a signal stops it."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from captioner.archive.engine import Outcome, cores
from captioner.archive.journal import Journal
from captioner.archive.pool import DecodePool
from captioner.archive.run import OF_THE_WAY, Archive, Counts, Engine
from captioner.commands.many import (
    MOST_JOBS,
    engine_of,
    fetching_of,
    load_alone,
    open_journal,
    settings_of,
    tell,
    write_each,
)
from captioner.commands.options import settle_parts
from captioner.commands.places import Places, claim, find_places
from captioner.commands.reporting import Ledger, metered, summary
from captioner.io.arrivals import Arrivals
from captioner.io.growing import GrowingFile
from captioner.io.inputs import Inputs, Item
from captioner.io.progress import Monitor
from captioner.io.store_arrivals import StoredArrivals, Together
from captioner.io.stores import Remote, Stores
from captioner.io.wanted import Wanted
from captioner.outputs.writers import writer


def run_watch(options: argparse.Namespace, monitor: Monitor) -> int:
    """Caption what is in the folders and what comes; ends by a signal (KeyboardInterrupt) or an error."""
    shard = settle_parts(options)
    stores = Stores(retries=options.retries)
    addresses = [path.rstrip("/") + "/" for path in options.paths if stores.takes(path)]
    folders = [path.rstrip(os.sep) or os.sep for path in options.paths if not stores.takes(path)]
    inside = [Item(path=os.path.join(folder, "_")) for folder in folders]  # noqa: PTH118
    below = [Item(path=address + "_", remote=Remote(address=address + "_")) for address in addresses]
    inputs = Inputs(items=(*inside, *below), stores=stores)
    places = find_places(options, inputs)

    def make(path: str) -> Item:
        return Item(path=path, start_seconds=options.start, end_seconds=options.end)

    def takes(item: Item) -> bool:
        return shard is None or shard.takes(item)

    wanted = Wanted(recursive=options.recursive, images=options.images, takes=takes, make=make, say=monitor.say)
    objects = StoredArrivals(addresses, stores, wanted)
    sources: list[Arrivals | StoredArrivals] = [objects]
    if folders:
        sources.append(Arrivals(folders, wanted, settle_seconds=options.settle))
    with contextlib.ExitStack() as stack:
        assert places.journal is not None
        journal = stack.enter_context(open_journal(places.journal, options, monitor))
        claim(journal, places, options)
        jobs = min(options.jobs or MOST_JOBS, cores())
        pool = stack.enter_context(DecodePool(workers=jobs, timeout_seconds=options.timeout))
        captioner = load_alone(options)
        settings = settings_of(captioner, options)
        for source in sources:
            stack.enter_context(source)
        arrivals = Together(sources)
        archive = Archive(
            arrivals,
            settings=settings,
            model=captioner.checkpoint.fingerprint,
            journal=journal,
            retry_failed=options.retry_failed,
            stores=stores,
        )
        timed = stack.enter_context(metered(options.metrics_port, archive, monitor, waiting=lambda: arrivals.waiting))
        engine = timed(engine_of(options, captioner, settings, pool, fetching_of(options, inputs)))
        _follow(archive, engine, options, places, journal, monitor, arrivals=arrivals, objects=objects)
    return 1  # a watch has no end of its own


def _follow(
    archive: Archive,
    engine: Engine,
    options: argparse.Namespace,
    places: Places,
    journal: Journal,
    monitor: Monitor,
    *,
    arrivals: Together,
    objects: StoredArrivals,
) -> None:
    def show(counts: Counts) -> None:
        monitor.watching(
            captioned=counts.captioned,
            known=counts.done,
            failed=counts.failed + counts.failed_before,
            waiting=arrivals.waiting + counts.total - counts.settled,
        )

    try:
        with Ledger(places.failures, monitor, grows=True) as ledger:
            outcomes = latest(archive.outcomes(engine, on_result=show), objects)
            _write(tell(outcomes, ledger, monitor, to_a_file=True), options, places, archive, ledger, journal)
    finally:
        counts = archive.counts
        ended = summary("stopped", counts, Inputs(items=()), journal=places.journal, failures=places.failures)
        monitor.end(ended, ended="stopped", **asdict(counts), unreadable=0)


def latest(outcomes: Iterable[Outcome], objects: StoredArrivals) -> Iterator[Outcome]:
    """The outcomes but for files that were moved, deleted or done again meanwhile.

    What a store kept back is asked for again.
    """
    done: dict[int, int] = {}
    for outcome in outcomes:
        task, code = outcome.task, outcome.failure.code if outcome.failure else ""
        if code in OF_THE_WAY:
            objects.again(task.item)
        name = hash(task.item.path)
        is_there = code != "not_found" or (task.item.remote is None and os.path.lexists(task.item.path))
        if is_there and done.get(name, -1) < task.index:  # a file that changed may be done before what it was
            done[name] = task.index
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
