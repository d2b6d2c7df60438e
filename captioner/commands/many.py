"""``captioner caption`` for many files: connects the engine with journal, outputs and failures."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from captioner.archive.engine import Failure, Outcome, Settings, cores
from captioner.archive.fetched import Fetching, caption_fetched
from captioner.archive.journal import Journal
from captioner.archive.pool import DecodePool
from captioner.archive.run import Archive, Engine
from captioner.caption.clips import ClipModel
from captioner.caption.result import UNSURE
from captioner.checkpoint.captioning import checkpoint_folder
from captioner.commands.cluster import ray_engine
from captioner.commands.models import load_model
from captioner.commands.one import looked_at
from captioner.commands.places import Places, all_taken, claim, find_places, is_taken
from captioner.commands.reporting import Ledger, metered, say_plan, say_unlisted, show_progress, summary
from captioner.commands.settings import override, search_settings
from captioner.errors import CaptionerError, UsageError
from captioner.io.files import (
    ResumedFile,
    StandardOutput,
    holds,
)
from captioner.io.inputs import Inputs
from captioner.io.progress import Monitor
from captioner.io.upload import stored
from captioner.outputs.parquet import write_parquet, write_partitions
from captioner.outputs.writers import FORMATS, Writer, writer
from captioner.safe.whole import WholeFile, is_filled, is_regular, writing

MOST_JOBS = 16
"""Decoding processes, unless --jobs says more."""


def run_many(options: argparse.Namespace, inputs: Inputs, monitor: Monitor) -> int:
    """Caption all items; returns the exit status."""
    places = find_places(options, inputs)
    with contextlib.ExitStack() as stack:
        journal = None
        if places.journal and options.dry_run:
            if is_filled(places.journal) and not options.overwrite:
                journal = Journal(places.journal, read_only=True)
                stack.callback(journal.close)
        elif places.journal:
            journal = stack.enter_context(open_journal(places.journal, options, monitor))
        if not options.dry_run:
            claim(journal, places, options)
        pool = None
        if options.engine == "local" and not options.dry_run:  # before the model: the children start meanwhile
            pool = stack.enter_context(decode_pool(options, inputs))
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
        engine = engine_of(options, captioner, settings, pool, fetching_of(options, inputs))
        engine = stack.enter_context(metered(options.metrics_port, archive, monitor))(engine)
        return _run(archive, engine, options, inputs, places, monitor, journal=journal)


def open_journal(path: Path, options: argparse.Namespace, monitor: Monitor) -> Journal:
    """The journal to write to, in a folder that is made where there is none."""
    if options.template:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path, overwrite=options.overwrite, shard=options.shard or "")
    if journal.repaired:
        monitor.say(f"the end of {path} was cut off when a run was killed; it is repaired")
    return journal


def settings_of(captioner: ClipModel, options: argparse.Namespace) -> Settings:
    """How each file is captioned, by the options and else by the model."""
    return Settings(
        video=override(captioner.video, options),
        search=search_settings(captioner.search, options),
        segments=options.segments,
    )


def decode_pool(options: argparse.Namespace, inputs: Inputs) -> DecodePool:
    """The processes that decode, as many as the command asks for and there is work for."""
    jobs = min(options.jobs or MOST_JOBS, cores(), max(1, len(inputs.items)))
    return DecodePool(workers=jobs, timeout_seconds=options.timeout)


def load_alone(options: argparse.Namespace) -> ClipModel:
    """The model, for a process that does nothing else."""
    import torch

    from captioner.io.platform import keep_freed_memory

    keep_freed_memory()
    captioner = load_model(options)
    if captioner.device.type == "cpu":
        torch.set_num_threads(1)  # each child has a thread that encodes; and one thread gives the same bits anywhere
    return captioner


def fetching_of(options: argparse.Namespace, inputs: Inputs) -> Fetching:
    """How the command's options say that files come from stores."""
    return Fetching(stores=inputs.stores, scratch=options.scratch, ahead=options.ahead)


def engine_of(
    options: argparse.Namespace, captioner: ClipModel, settings: Settings, pool: DecodePool | None, fetching: Fetching
) -> Engine:
    if pool is None:
        if options.kind != "captions":
            raise UsageError("--engine ray is for captions; leave it out")
        from captioner.caption.captioner import Captioner

        load, folders = partial(Captioner.load, device=options.device), {"folder": checkpoint_folder(options.model)}
        return ray_engine(options, load=load, folders=folders, settings=settings)
    return lambda tasks: caption_fetched(
        tasks, captioner, settings=settings, pool=pool, batch_size=options.batch_size, fetching=fetching
    )


def _run(
    archive: Archive,
    engine: Engine,
    options: argparse.Namespace,
    inputs: Inputs,
    places: Places,
    monitor: Monitor,
    *,
    journal: Journal | None,
) -> int:
    say_unlisted(inputs, monitor)
    many = not places.templates and len(inputs.items) > 1
    writers = {
        f: writer(f, words=options.words, many=many, segments=bool(options.segments))
        for f in options.format
        if f in FORMATS
    }
    ended = "stopped"
    try:
        with Ledger(places.failures, monitor) as ledger:
            outcomes = archive.outcomes(engine, on_result=lambda counts: show_progress(monitor, counts))
            captioned = tell(outcomes, ledger, monitor, to_a_file=options.output is not None)
            if places.templates:
                write_each(captioned, writers, places, archive, ledger, journal=journal, overwrite=options.overwrite)
            else:
                with _output(places, inputs, options) as output:
                    if writers:
                        [(form, write)] = writers.items()
                        _write_all(captioned, write, output, form)
                    else:
                        _write_table(captioned, output, partition_by=options.partition_by)
        ended = "done"
    finally:
        counts = archive.counts
        monitor.end(
            summary(ended, counts, inputs, journal=places.journal, failures=places.failures),
            ended=ended,
            **asdict(counts),
            unreadable=len(inputs.unreadable),
        )
    return 1 if counts.failed or counts.failed_before or counts.unwritten or inputs.unreadable else 0


def tell(outcomes: Iterable[Outcome], ledger: Ledger, monitor: Monitor, *, to_a_file: bool) -> Iterator[Outcome]:
    """The outcomes that have captions; failures go to the ledger, and warnings that no file would show to stderr."""
    for outcome in outcomes:
        if outcome.failure:
            ledger.add(outcome.task.item, outcome.failure)
            continue
        for caption in outcome.captions:
            monitor.detail(f"{caption.path}: {looked_at(caption)}")
        if not to_a_file:
            for caption in outcome.captions:
                for warning in caption.warnings:
                    monitor.warning(caption.path, warning)
        yield outcome


def _output(places: Places, inputs: Inputs, options: argparse.Namespace) -> contextlib.AbstractContextManager[Any]:
    """The file to write the one output to; None: stdout."""
    if not places.address:
        return contextlib.nullcontext(places.output)
    return stored(places.address, inputs.stores, scratch=options.scratch)


def _write_all(outcomes: Iterable[Outcome], write: Writer, output: Path | None, form: str) -> None:
    captions = (caption for outcome in outcomes for caption in outcome.captions)
    whole = output and FORMATS[form].is_document and is_regular(output)
    out: Any
    if output is None:
        out = StandardOutput(mark=UNSURE if form == "txt" else "")
    else:
        out = WholeFile(output, overwrite=True) if whole else ResumedFile(output)  # what is there is this run's
    with out:
        for text in write(captions):
            out.write(text)


def _write_table(outcomes: Iterable[Outcome], output: Path | None, *, partition_by: Any) -> None:
    assert output is not None
    captions = (caption for outcome in outcomes for caption in outcome.captions)
    if partition_by:
        write_partitions(captions, output, by=partition_by, overwrite=True)  # what is there is this run's
    else:
        write_parquet(captions, output, overwrite=True)


def write_each(
    outcomes: Iterable[Outcome],
    writers: dict[str, Writer],
    places: Places,
    archive: Archive,
    ledger: Ledger,
    *,
    journal: Journal | None,
    overwrite: bool,
) -> None:
    for outcome in outcomes:
        for form, write in writers.items():
            path = places.templates[form].path(outcome.task.index, outcome.task.item)
            text = "".join(write(outcome.captions))
            if holds(path, text) or is_taken(path, journal, overwrite=overwrite):
                continue
            if journal:
                journal.claim(str(path.absolute()))
            try:
                with WholeFile(path, make_folder=True, overwrite=True) as out:
                    out.write(text)
            except CaptionerError as error:  # of this file; its caption is in the journal, for the next run to write
                archive.counts.unwritten += 1
                ledger.add(outcome.task.item, Failure(code="unwritable", message=str(error)))
