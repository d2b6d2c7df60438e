"""Reports a run over many files: progress, failures and the final summary."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from captioner.archive.engine import Failure, Outcome
from captioner.archive.run import Archive, Counts, Engine
from captioner.errors import CaptionerError, DataError, counted
from captioner.io.files import ResumedFile, StandardOutput
from captioner.io.growing import GrowingFile
from captioner.io.inputs import Inputs, Item
from captioner.io.progress import Monitor
from captioner.outputs.writers import looked_at
from captioner.safe.json_text import parse_json
from captioner.safe.text import visible
from captioner.safe.whole import is_filled


def say_plan(archive: Archive, inputs: Inputs, monitor: Monitor) -> int:
    """Print a line for each item and the sums; nothing is written and no video opened."""
    sums: dict[str, int] = {}
    with StandardOutput() as out:
        for state, item in archive.plan():
            sums[state] = sums.get(state, 0) + 1
            out.write(f"{state}\t{visible(item.path)}\n")
    said = [f"{count} {state}" for state, count in sums.items()]
    said += _skipped(inputs)
    monitor.say(f"dry run, nothing was done: {', '.join(said)}")
    return 0


@contextlib.contextmanager
def reported(
    archive: Archive,
    engine: Engine,
    inputs: Inputs,
    monitor: Monitor,
    *,
    journal: Path | None,
    failures: Path | None,
    on_result: Callable[[Counts], None] | None = None,
    grows: bool = False,
) -> Iterator[tuple[Iterator[Outcome], Ledger]]:
    """The outcomes of a run, and the ledger for its failures; a summary is printed however the block ends.

    ``on_result`` hears how far the run is, in place of the usual progress. A ledger that ``grows`` keeps what is there.
    """
    for folder in inputs.unreadable:
        monitor.failure(folder.path, folder.code, f"{folder.path} cannot be listed: {folder.reason}")
    counts, ended = archive.counts, "stopped"

    def show_progress(counts: Counts) -> None:
        monitor.progress(
            settled=counts.settled,
            total=counts.total,
            made=counts.captioned + counts.failed,
            failed=counts.failed + counts.failed_before,
        )

    try:
        with Ledger(failures, monitor, grows=grows) as ledger:
            yield archive.outcomes(engine, on_result=on_result or show_progress), ledger
        ended = "done"
    finally:
        said = _summary(ended, counts, inputs, journal=journal, failures=failures)
        monitor.end(said, ended=ended, **asdict(counts), unreadable=len(inputs.unreadable))


def exit_status(counts: Counts, inputs: Inputs) -> int:
    """1 where some input has no caption, or no output."""
    return int(bool(counts.failed or counts.failed_before or counts.unwritten or inputs.unreadable))


def captioned(outcomes: Iterable[Outcome], ledger: Ledger, monitor: Monitor, *, to_a_file: bool) -> Iterator[Outcome]:
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
                    monitor.warning(caption.path, warning, seconds=caption.start_seconds)
        yield outcome


@contextlib.contextmanager
def metered(
    port: int | None, archive: Archive, monitor: Monitor, *, waiting: Callable[[], int] = lambda: 0
) -> Iterator[Callable[[Engine], Engine]]:
    """Serve the metrics of a run where a port is given; yields what times the clips of an engine."""
    if port is None:
        yield lambda engine: engine
        return
    from captioner.archive.monitoring import Metrics

    with Metrics(port, archive.counts, waiting=waiting) as metrics:
        monitor.say(f"metrics are at {metrics.address}")
        yield metrics.timed


def check_ledger(path: Path | None) -> None:
    """Raise CaptionerError for a file that is no list of failures, as a :class:`Ledger` writes it."""
    if path is None or not is_filled(path):
        return
    try:
        with path.open("rb") as file:
            row = parse_json(file.readline(2**20), name=path)
    except (OSError, DataError):
        row = None
    if not isinstance(row, dict) or not {"path", "code", "error"} <= set(row):
        raise CaptionerError(f"{path} exists and is not a list of failures; give another name with --failures")


class Ledger:
    """What could not be captioned: each file is named, and listed in a file of its own if there is one."""

    def __init__(self, path: Path | None, monitor: Monitor, *, grows: bool = False) -> None:
        """One that ``grows`` keeps what is there; else it is written anew."""
        check_ledger(path)
        self._path, self._monitor, self._grows = path, monitor, grows
        self._file: ResumedFile | GrowingFile | None = None

    def add(self, item: Item, failure: Failure) -> None:
        self._monitor.failure(item.path, failure.code, failure.message)
        if self._path:
            if self._file is None:
                self._file = GrowingFile(self._path) if self._grows else ResumedFile(self._path)
            name = {"id": item.id} if item.id else {}
            values = {"path": item.path, **name, "code": failure.code, "error": failure.message}
            self._file.write(json.dumps(values, ensure_ascii=False) + "\n")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if self._file is not None:
            self._file.__exit__(kind, error, traceback)
        elif self._path and kind is None and not self._grows:
            self._path.unlink(missing_ok=True)  # nothing failed: an earlier list is out of date


def _summary(ended: str, counts: Counts, inputs: Inputs, *, journal: Path | None, failures: Path | None) -> str:
    failed = counts.failed + counts.failed_before
    parts = [f"{counts.captioned} captioned"]
    if counts.warned:
        parts[0] += f" ({counts.warned} with warnings)"
    if counts.done:
        parts.append(f"{counts.done} known already")
    if failed:
        where = f" (see {failures})" if failures else ""
        before = f"; {counts.failed_before} of them before, --retry-failed tries again" if counts.failed_before else ""
        parts.append(f"{failed} failed{where}{before}")
    if counts.malformed:
        parts.append(f"{counted(counts.malformed, 'malformed record')} of {journal} skipped and done again")
    if counts.unwritten:
        parts.append(f"{counted(counts.unwritten, 'output')} could not be written")
    if counts.kept:
        parts.append(f"{counts.kept} left alone because their output exists (--overwrite replaces it)")
    if inputs.unreadable:
        parts.append(f"{counted(len(inputs.unreadable), 'folder')} unreadable")
    if inputs.stores.repeated:
        parts.append(f"{counted(inputs.stores.repeated, 'request')} repeated")
    text = ", ".join([*parts, *_skipped(inputs)])
    if ended != "done":
        left = counts.total - counts.settled
        on = "; the same command resumes" if journal else ""
        text = f"stopped with {left} of {counts.total} to do{on}: {text}"
    return text


def _skipped(inputs: Inputs) -> list[str]:
    passed, repeated = inputs.hidden + inputs.others, inputs.duplicates
    if not (passed or repeated):
        return []
    return [f"{counted(passed, 'other file')} and {counted(repeated, 'duplicate')} skipped"]
