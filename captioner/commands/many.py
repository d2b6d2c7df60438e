"""``captioner caption`` for more than one file: journal, outputs, failures and the engine put together."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from captioner.archive import Archive, Counts, Engine
from captioner.commands.caption import override, search_settings
from captioner.engine import Failure, Outcome, Settings, caption_tasks, cores
from captioner.errors import CaptionerError
from captioner.files import (
    ResumedFile,
    StandardOutput,
    Template,
    WholeFile,
    holds,
    is_filled,
    is_regular,
    is_there,
    refuse_to_overwrite,
)
from captioner.inputs import Inputs, Item
from captioner.journal import Journal
from captioner.outputs import Writer, writer
from captioner.pipeline import Captioner
from captioner.progress import Monitor
from captioner.workers import DecodePool

_DOCUMENTS = ("json", "coco")  # good for nothing until their end is written
_MOST_JOBS = 16
_TEMPLATE_BASE = "captioner"  # of the journal's name, where there is no one output


@dataclass(frozen=True)
class _Places:
    """Where everything of a run goes; None: nowhere."""

    output: Path | None
    template: Template | None
    journal: Path | None
    failures: Path | None


def run_many(options: argparse.Namespace, inputs: Inputs, monitor: Monitor) -> int:
    """Caption all items; returns the exit status."""
    places = _places(options, inputs)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_terminable())
        journal = None
        if places.journal:
            journal = stack.enter_context(Journal(places.journal, overwrite=options.overwrite))
            if journal.repaired:
                monitor.say(f"the end of {places.journal} was cut off when a run was killed; it is repaired")
        pool = None
        if options.engine == "local":  # before the model: the children start meanwhile
            jobs = min(options.jobs or _MOST_JOBS, cores(), max(1, len(inputs.items)))
            pool = stack.enter_context(DecodePool(workers=jobs, timeout_seconds=options.timeout))
        captioner = _load(options)
        settings = Settings(
            video=override(captioner.video, options),
            search=search_settings(captioner.search, options),
            segments=options.segments,
        )
        archive = Archive(
            inputs.items,
            settings=settings,
            model=captioner.checkpoint.fingerprint,
            journal=journal,
            retry_failed=options.retry_failed,
            is_taken=_taken(places.template, journal, overwrite=options.overwrite),
        )
        engine = _engine(options, captioner, settings, pool)
        return _run(archive, engine, options, inputs, places, monitor)


def _places(options: argparse.Namespace, inputs: Inputs) -> _Places:
    template = Template(options.output, form=options.format) if options.template else None
    if template:
        template.check(inputs.items)
    output = Path(options.output) if options.output and not template else None
    base = _TEMPLATE_BASE if template else str(output) if output and is_regular(output) else None
    journal, failures = (
        Path(named) if named else Path(f"{base}.{suffix}") if base else None
        for named, suffix in ((options.journal, "journal"), (options.failures, "failures.jsonl"))
    )
    outputs = [template.path(index, item) for index, item in enumerate(inputs.items)] if template else [output]
    refuse_to_overwrite((*(item.path for item in inputs.items), *inputs.lists), (*outputs, journal, failures))
    if output and journal and _is_foreign(output, journal) and not options.overwrite:
        raise CaptionerError(
            f"{output} exists, but not the journal {journal} of a run that wrote it; "
            "give another -o, or --overwrite to replace it"
        )
    return _Places(output, template, journal, failures)


def _is_foreign(output: Path, journal: Path) -> bool:
    return is_filled(output) and not is_there(journal)


def _taken(template: Template | None, journal: Journal | None, *, overwrite: bool) -> Any:
    """Whether an item's own output exists, and no run with this journal wrote it."""

    def is_taken(index: int, item: Item) -> bool:
        if template is None or overwrite:
            return False
        path = template.path(index, item)
        return is_there(path) and not (journal and journal.owns(str(path.absolute())))

    return is_taken


def _load(options: argparse.Namespace) -> Captioner:
    import torch

    from captioner.allocator import keep_freed_memory

    keep_freed_memory()
    captioner = Captioner.load(options.model, device=options.device)
    if captioner.device.type == "cpu":
        torch.set_num_threads(1)  # each child has a thread that encodes; and one thread gives the same bits anywhere
    return captioner


def _engine(options: argparse.Namespace, captioner: Captioner, settings: Settings, pool: DecodePool | None) -> Engine:
    if pool is None:
        from captioner.rayrun import caption_with_ray

        return lambda tasks: caption_with_ray(
            tasks,
            model=options.model,
            settings=settings,
            actors=options.jobs,
            batch_size=options.batch_size,
            timeout_seconds=options.timeout,
            device=options.device,
        )
    return lambda tasks: caption_tasks(tasks, captioner, settings=settings, pool=pool, batch_size=options.batch_size)


def _run(
    archive: Archive, engine: Engine, options: argparse.Namespace, inputs: Inputs, places: _Places, monitor: Monitor
) -> int:
    for path, reason in inputs.unreadable:
        monitor.failure(path, "not_found", f"{path} cannot be listed: {reason}")
    write = writer(
        options.format,
        words=options.words,
        many=places.template is None and len(inputs.items) > 1,
        segments=bool(options.segments),
    )
    ended = "stopped"
    try:
        with _Ledger(places.failures, monitor) as ledger:
            outcomes = archive.outcomes(engine, on_result=lambda counts: _progress(monitor, counts))
            captioned = _tell(outcomes, ledger, monitor, to_a_file=options.output is not None)
            if places.template:
                _write_each(captioned, write, places.template, archive, ledger)
            else:
                _write_all(captioned, write, places.output, options.format)
        ended = "done"
    finally:
        counts = archive.counts
        monitor.end(
            _summary(ended, counts, inputs, places), ended=ended, **asdict(counts), unreadable=len(inputs.unreadable)
        )
    return 1 if counts.failed or counts.failed_before or counts.unwritten or inputs.unreadable else 0


def _progress(monitor: Monitor, counts: Counts) -> None:
    monitor.progress(
        settled=counts.settled,
        total=counts.total,
        made=counts.captioned + counts.failed,
        failed=counts.failed + counts.failed_before,
    )


def _tell(outcomes: Iterable[Outcome], ledger: _Ledger, monitor: Monitor, *, to_a_file: bool) -> Iterator[Outcome]:
    """The outcomes that have captions; failures go to the ledger, and warnings that no file would show to stderr."""
    for outcome in outcomes:
        if outcome.failure:
            ledger.add(outcome.task.item, outcome.failure)
            continue
        if not to_a_file:
            for caption in outcome.captions:
                for warning in caption.warnings:
                    monitor.warning(caption.path, warning)
        yield outcome


def _write_all(outcomes: Iterable[Outcome], write: Writer, output: Path | None, form: str) -> None:
    captions = (caption for outcome in outcomes for caption in outcome.captions)
    whole = output and form in _DOCUMENTS and is_regular(output)
    out: Any = WholeFile(output) if output and whole else ResumedFile(output) if output else StandardOutput()
    with out:
        for text in write(captions):
            out.write(text)


def _write_each(
    outcomes: Iterable[Outcome], write: Writer, template: Template, archive: Archive, ledger: _Ledger
) -> None:
    for outcome in outcomes:
        path = template.path(outcome.task.index, outcome.task.item)
        text = "".join(write(outcome.captions))
        if holds(path, text):
            continue
        if archive.journal:
            archive.journal.claim(str(path.absolute()))
        try:
            with WholeFile(path, make_folder=True) as out:
                out.write(text)
        except CaptionerError as error:  # of this file; its caption is in the journal, for the next run to write
            archive.counts.unwritten += 1
            ledger.add(outcome.task.item, Failure(code="unwritable", message=str(error)))


class _Ledger:
    """What could not be captioned: each file is named, and listed in a file of its own if there is one."""

    def __init__(self, path: Path | None, monitor: Monitor) -> None:
        self._path, self._monitor = path, monitor
        self._file: ResumedFile | None = None

    def add(self, item: Item, failure: Failure) -> None:
        self._monitor.failure(item.path, failure.code, failure.message)
        if self._path:
            if self._file is None:
                self._file = ResumedFile(self._path)
            name = {"id": item.id} if item.id else {}
            values = {"path": item.path, **name, "code": failure.code, "error": failure.message}
            self._file.write(json.dumps(values, ensure_ascii=False) + "\n")

    def __enter__(self) -> _Ledger:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if self._file is not None:
            self._file.__exit__(kind, error, traceback)
        elif self._path and kind is None:
            self._path.unlink(missing_ok=True)  # nothing failed: an earlier list is out of date


def _summary(ended: str, counts: Counts, inputs: Inputs, places: _Places) -> str:
    failed = counts.failed + counts.failed_before
    parts = [f"{counts.captioned} captioned"]
    if counts.warned:
        parts[0] += f" ({counts.warned} with warnings)"
    if counts.done:
        parts.append(f"{counts.done} known already")
    if failed:
        where = f", see {places.failures}" if places.failures else ""
        before = f"; {counts.failed_before} of them before, --retry-failed tries again" if counts.failed_before else ""
        parts.append(f"{failed} failed{where}{before}")
    if counts.malformed:
        parts.append(f"{counts.malformed} malformed records of {places.journal} passed over and done again")
    if counts.unwritten:
        parts.append(f"{counts.unwritten} outputs could not be written")
    if counts.kept:
        parts.append(f"{counts.kept} left alone because their output exists (--overwrite replaces it)")
    if inputs.unreadable:
        parts.append(f"{len(inputs.unreadable)} folders unreadable")
    if (passed := inputs.hidden + inputs.others) or inputs.duplicates:
        parts.append(f"{passed} other files and {inputs.duplicates} duplicates passed by")
    text = ", ".join(parts)
    if ended != "done":
        left = counts.total - counts.settled
        on = "; the same command goes on from here" if places.journal else ""
        text = f"stopped with {left} of {counts.total} to do{on}: {text}"
    return text


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, as clusters send it, stop a run as Ctrl-C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
