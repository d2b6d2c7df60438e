"""``captioner caption --watch``: captions what lies in folders, then what comes, until a signal stops it."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import partial

from captioner.archive.engine import Outcome
from captioner.archive.run import TRANSIENT, Archive, Counts
from captioner.commands.engine import decode_pool, engine_of, settings_of
from captioner.commands.many import open_journal, write_each
from captioner.commands.models import load_alone
from captioner.commands.options import parse_parts
from captioner.commands.places import Places, claim, find_places
from captioner.commands.reporting import captioned, metered, reported
from captioner.io.arrivals import Arrivals, Together, Wanted
from captioner.io.folder_arrivals import FolderArrivals
from captioner.io.growing import GrowingFile
from captioner.io.inputs import Inputs, Item
from captioner.io.progress import Monitor
from captioner.io.store_arrivals import StoreArrivals
from captioner.io.stores import Remote, Stores
from captioner.outputs.writers import writer


def run_watch(options: argparse.Namespace, monitor: Monitor) -> int:
    """Caption what is in the folders and what comes; ends by a signal (KeyboardInterrupt) or an error."""
    wanted, stores = _wanted(options, monitor), Stores(retries=options.retries)
    addresses = [path.rstrip("/") + "/" for path in options.paths if stores.takes(path)]
    folders = [path.rstrip(os.sep) or os.sep for path in options.paths if not stores.takes(path)]
    inside = [Item(path=os.path.join(folder, "_")) for folder in folders]  # noqa: PTH118
    below = [Item(path=address + "_", remote=Remote(address=address + "_")) for address in addresses]
    places = find_places(options, Inputs(items=(*inside, *below), stores=stores))
    objects = StoreArrivals(addresses, stores, wanted)
    sources: list[Arrivals] = [objects]
    if folders:
        sources.append(FolderArrivals(folders, wanted, settle_seconds=options.settle))
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(open_journal(places.journal, options, monitor))
        claim(journal, places, options)
        pool = stack.enter_context(decode_pool(options))
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
        engine = timed(engine_of(options, captioner, settings, pool, stores))
        inputs, show = Inputs(items=(), stores=stores), partial(_show, monitor, arrivals)
        run = reported(
            archive,
            engine,
            inputs,
            monitor,
            journal=places.journal,
            failures=places.failures,
            on_result=show,
            grows=True,
        )
        outcomes, ledger = stack.enter_context(run)
        done = captioned(latest(outcomes, objects), ledger, monitor, to_a_file=True)
        if places.templates:
            write_each(done, options, places, archive, ledger, journal)
        else:
            _write_lines(done, options, places)
    return 1  # a watch has no end of its own


def _wanted(options: argparse.Namespace, monitor: Monitor) -> Wanted:
    """The files of this shard, as the options say."""
    shard = parse_parts(options)
    return Wanted(
        recursive=options.recursive,
        images=options.images,
        takes=lambda item: shard is None or shard.takes(item),
        make=lambda path: Item(path=path, start_seconds=options.start, end_seconds=options.end),
        say=monitor.say,
    )


def _show(monitor: Monitor, arrivals: Together, counts: Counts) -> None:
    monitor.watching(
        captioned=counts.captioned,
        known=counts.done,
        failed=counts.failed + counts.failed_before,
        waiting=arrivals.waiting + counts.total - counts.settled,
    )


def latest(outcomes: Iterable[Outcome], objects: StoreArrivals) -> Iterator[Outcome]:
    """The outcomes but for files that were moved, deleted or done again meanwhile.

    What a store kept back is asked for again.
    """
    done: dict[int, int] = {}
    for outcome in outcomes:
        task, code = outcome.task, outcome.failure.code if outcome.failure else ""
        if code in TRANSIENT:
            objects.again(task.item)
        name = hash(task.item.path)
        is_there = code != "not_found" or (task.item.remote is None and os.path.lexists(task.item.path))
        if is_there and done.get(name, -1) < task.index:  # a file that changed may be done before what it was
            done[name] = task.index
            yield outcome


def _write_lines(outcomes: Iterable[Outcome], options: argparse.Namespace, places: Places) -> None:
    """All captions as JSON Lines, in a file that grows."""
    assert places.output is not None
    write = writer("jsonl", words=options.words)
    if options.overwrite:
        places.output.unlink(missing_ok=True)
    with GrowingFile(places.output) as out:
        for outcome in outcomes:
            out.write("".join(write(outcome.captions)))
