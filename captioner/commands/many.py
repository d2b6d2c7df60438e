"""``captioner caption`` for many files: connects the engine with journal, outputs and failures."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from captioner.archive.engine import Failure, Outcome
from captioner.archive.journal import Journal
from captioner.archive.run import Archive
from captioner.caption.result import UNSURE
from captioner.commands.engine import decode_pool, engine_of, settings_of
from captioner.commands.models import load_alone
from captioner.commands.places import Places, all_taken, claim, find_places, is_taken
from captioner.commands.reporting import Ledger, captioned, exit_status, metered, reported, say_plan
from captioner.errors import CaptionerError
from captioner.io.files import ResumedFile, StandardOutput, holds
from captioner.io.inputs import Inputs
from captioner.io.progress import Monitor
from captioner.io.upload import stored
from captioner.outputs.parquet import FORMAT as PARQUET
from captioner.outputs.parquet import write_parquet, write_partitions
from captioner.outputs.writers import FORMATS, writer
from captioner.safe.whole import WholeFile, is_filled, is_regular, writing


def run_many(options: argparse.Namespace, inputs: Inputs, monitor: Monitor) -> int:
    """Caption all items; returns the exit status."""
    places = find_places(options, inputs)
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(open_journal(places.journal, options, monitor))
        if not options.dry_run:
            claim(journal, places, options)
        pool = stack.enter_context(decode_pool(options, most=len(inputs.items)))
        captioner = load_alone(options)
        settings = settings_of(captioner, options)
        archive = Archive(
            inputs.items,
            settings=settings,
            model=captioner.checkpoint.fingerprint,
            journal=journal,
            retry_failed=options.retry_failed,
            is_taken=all_taken(places, journal, overwrite=options.overwrite),
            stores=inputs.stores,
        )
        if options.dry_run:
            return say_plan(archive, inputs, monitor)
        engine = engine_of(options, captioner, settings, pool, inputs.stores)
        engine = stack.enter_context(metered(options.metrics_port, archive, monitor))(engine)
        run = reported(archive, engine, inputs, monitor, journal=places.journal, failures=places.failures)
        outcomes, ledger = stack.enter_context(run)
        done = captioned(outcomes, ledger, monitor, to_a_file=options.output is not None)
        if places.templates:
            write_each(done, options, places, archive, ledger, journal)
        else:
            _write_one(done, options, places, inputs)
    return exit_status(archive.counts, inputs)


def open_journal(
    path: Path | None, options: argparse.Namespace, monitor: Monitor
) -> contextlib.AbstractContextManager[Journal | None]:
    """The journal of a run, in a folder that is made where there is none; with --dry-run it is only read."""
    if path is None:
        return contextlib.nullcontext()
    if options.dry_run:
        is_of_use = is_filled(path) and not options.overwrite
        return Journal(path, read_only=True) if is_of_use else contextlib.nullcontext()
    if options.template:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path, overwrite=options.overwrite, shard=options.shard or "")
    if journal.repaired:
        monitor.say(f"the end of {path} was cut off when a run was killed; it is repaired")
    return journal


def _write_one(outcomes: Iterable[Outcome], options: argparse.Namespace, places: Places, inputs: Inputs) -> None:
    """One output of all captions: a file, stdout, or an object in a store."""
    captions = (caption for outcome in outcomes for caption in outcome.captions)
    [form] = options.format
    output: contextlib.AbstractContextManager[Path | None] = contextlib.nullcontext(places.output)
    if places.address:
        output = stored(places.address, inputs.stores, scratch=options.scratch)
    with output as path:
        if form == PARQUET:
            assert path is not None
            write = partial(write_partitions, by=options.partition_by) if options.partition_by else write_parquet
            write(captions, path, overwrite=True)  # what is there is this run's
            return
        many, segments = len(inputs.items) > 1, bool(options.segments)
        with _opened(path, form) as out:
            for text in writer(form, words=options.words, many=many, segments=segments)(captions):
                out.write(text)


def _opened(path: Path | None, form: str) -> Any:
    if path is None:
        return StandardOutput(mark=UNSURE if form == "txt" else "")
    is_document = FORMATS[form].is_document and is_regular(path)
    return WholeFile(path, overwrite=True) if is_document else ResumedFile(path)  # what is there is this run's


def write_each(
    outcomes: Iterable[Outcome],
    options: argparse.Namespace,
    places: Places,
    archive: Archive,
    ledger: Ledger,
    journal: Journal | None,
) -> None:
    """The outputs of each video, unless one that is there is not ours."""
    writers = {form: writer(form, words=options.words, segments=bool(options.segments)) for form in options.format}
    for outcome in outcomes:
        for form, write in writers.items():
            path = places.templates[form].path(outcome.task.index, outcome.task.item)
            text = "".join(write(outcome.captions))
            if holds(path, text) or is_taken(path, journal, overwrite=options.overwrite):
                continue
            if journal:
                journal.claim(str(path.absolute()))
            try:
                with WholeFile(path, make_folder=True, overwrite=True) as out:
                    out.write(text)
            except CaptionerError as error:  # of this file; its caption is in the journal, for the next run to write
                archive.counts.unwritten += 1
                ledger.add(outcome.task.item, Failure(code="unwritable", message=str(error)))
