"""Captions many files: skips finished ones, journals each result, reports failures.

Outcomes come in the order of the list; each is in the journal before it is returned.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Protocol

from captioner.archive.engine import NOTHING_YET, Failure, Outcome, Settings, Task
from captioner.archive.journal import Entry
from captioner.archive.lookup import looked_up
from captioner.caption.result import Caption
from captioner.config import to_dict
from captioner.errors import CaptionerError, DataError, VideoError
from captioner.io.inputs import Item
from captioner.io.stores import Stores
from captioner.outputs.rows import from_row, row
from captioner.video.container import check_file

Engine = Callable[[Iterator[Task]], Generator[Outcome, None, None]]

_SAMPLE_BYTES = 1 << 16
TRANSIENT = frozenset({"forbidden", "unreachable", "changed"})
"""Codes of failures that say nothing of the content: the next run tries again."""


class Results(Protocol):
    """Where results are kept: a journal, or an index."""

    def find(self, key: str, path: str) -> Entry | None:
        """The latest result for this content, model and settings: a success under any name, a failure under its own."""

    def read(self, offset: int) -> dict[str, Any]:
        """The record of an entry."""

    def append(self, record: dict[str, Any]) -> Any:
        """Keep one more."""


@dataclass
class Counts:
    """How far a run is."""

    total: int
    captioned: int = 0
    """In this run."""
    done: int = 0
    """Before it, by the journal."""
    failed: int = 0
    """In this run."""
    failed_before: int = 0
    kept: int = 0
    """Passed by because their output is there and is not ours."""
    warned: int = 0
    """Captioned in this run, but with a warning."""
    malformed: int = 0
    """Results in the journal that could not be read, and are made again."""
    unwritten: int = 0
    """Captioned, but their own output could not be written."""
    codes: dict[str, int] = field(default_factory=dict)
    """Failures of any run, by code."""

    @property
    def settled(self) -> int:
        return self.captioned + self.done + self.failed + self.failed_before + self.kept


@dataclass(frozen=True)
class _Settled:
    """A task that there is nothing left to do for."""

    task: Task
    state: str
    """In a word: what has become of it."""
    outcome: Outcome | None = None
    offset: int | None = None
    """Where its journal has the outcome of an earlier run."""


class Archive:
    """One run over a list of items."""

    def __init__(
        self,
        items: Iterable[Item | None],
        *,
        settings: Settings,
        model: str,
        journal: Results | None = None,
        retry_failed: bool = False,
        is_taken: Callable[[int, Item], bool] = lambda index, item: False,
        stores: Stores | None = None,
    ) -> None:
        """``model`` is the checkpoint's fingerprint; ``is_taken`` says that an item's output is there and not ours.

        ``items`` without a length grow while the run lasts, with None where there is nothing yet. Their outcomes come
        as they are ready, not in the order of the list.
        """
        self._in_order = isinstance(items, Sized)
        self.counts = Counts(len(items) if isinstance(items, Sized) else 0)
        self._items = items
        self.journal = journal
        self._retry_failed = retry_failed
        self._is_taken = is_taken
        self._stores = stores or Stores()
        self._settings = hashlib.sha256(json.dumps([model, to_dict(settings)], sort_keys=True).encode()).digest()
        self._without_work: deque[_Settled] = deque()

    def outcomes(
        self, engine: Engine, *, on_result: Callable[[Counts], None] = lambda counts: None
    ) -> Iterator[Outcome]:
        """Every outcome, earlier ones too, in the order of a list that has an end; each is in the journal before.

        When the run is stopped or the journal cannot be written, what is known comes all the same, then the error.
        """
        pending: dict[int, _Settled] = {}
        following = 0
        stopped: BaseException | None = None
        results = engine(self._tasks())
        while True:
            try:
                outcome = next(results, None)
                if outcome is not None and outcome.task is not NOTHING_YET:
                    pending[outcome.task.index] = _Settled(outcome.task, "captioned", self._record(outcome))
            except (KeyboardInterrupt, CaptionerError) as error:
                outcome, stopped = None, error
                results.close()
            while self._without_work:
                settled = self._without_work.popleft()
                self._count(settled)
                pending[settled.task.index] = settled
            on_result(self.counts)
            if not self._in_order:
                for index in sorted(pending):
                    yield from self._load(pending.pop(index))
            while following in pending:
                yield from self._load(pending.pop(following))
                following += 1
            if outcome is None:
                break
        for index in sorted(pending):
            yield from self._load(pending.pop(index))
        if stopped is not None:
            raise stopped

    def plan(self) -> Iterator[tuple[str, Item]]:
        """What a run would do with each item, in the order of the list, and why not: a word, and the item."""
        for task in chain(self._tasks(), [None]):
            while self._without_work:
                settled = self._without_work.popleft()
                self._count(settled)
                yield settled.state, settled.task.item
            if task is not None:
                yield "caption", task.item

    def _tasks(self) -> Iterator[Task]:
        """What there is to do; called from the engine's threads."""
        for index, (item, problem) in enumerate(looked_up(self._items, self._stores)):
            if item is None:
                yield NOTHING_YET
                continue
            self.counts.total += not self._in_order
            task = Task(index=index, item=item)
            try:
                if problem is not None:
                    raise problem
                task = replace(task, key=self._key(item))
            except VideoError as error:
                failed = Outcome(task=task, failure=Failure.of(error))
                self._without_work.append(_Settled(task, "cannot be read", failed))
                continue
            entry = self._find(task)
            if self._is_taken(index, item):
                self._without_work.append(_Settled(task, "kept"))
            elif entry is not None and not (entry.failed and self._retry_failed):
                state = "failed before" if entry.failed else "done"
                self._without_work.append(_Settled(task, state, offset=entry.offset))
            else:
                yield task

    def _find(self, task: Task) -> Entry | None:
        """The journal's result for a task; a malformed one counts as missing."""
        entry = self.journal.find(task.key, task.item.path) if self.journal else None
        if entry is None or self.journal is None:
            return None
        try:
            for caption in outcome_of(task, self.journal.read(entry.offset)).captions:
                row(caption)
        except (DataError, KeyError, TypeError, ValueError, AttributeError):
            self.counts.malformed += 1
            return None
        return entry

    def _key(self, item: Item) -> str:
        """Of the content, the part of it, the model and the settings.

        The content is known by its store's version, or by its size, time of change, head, middle and tail.
        """
        digest = hashlib.sha256(self._settings)
        if item.remote is not None:
            digest.update(repr((item.remote.version, item.start_seconds, item.end_seconds)).encode())
            return digest.hexdigest()[:32]
        file = check_file(item.path)
        try:
            status = file.stat()
            with file.open("rb") as opened:
                for place in (0, (status.st_size - _SAMPLE_BYTES) // 2, status.st_size - _SAMPLE_BYTES):
                    opened.seek(max(0, place))
                    digest.update(opened.read(_SAMPLE_BYTES))
        except OSError as error:
            raise VideoError("not_found", f"{item.path} cannot be opened: {error.strerror}") from None
        facts = (status.st_size, status.st_mtime_ns, item.start_seconds, item.end_seconds)
        digest.update(repr(facts).encode())
        return digest.hexdigest()[:32]

    def _record(self, outcome: Outcome) -> Outcome:
        """Into the journal with it; what comes back is what the journal would give."""
        outcome = self._unchanged(outcome)
        record = record_of(outcome)
        if self.journal and not (outcome.failure and outcome.failure.code in TRANSIENT):
            self.journal.append(record)
        self._count(_Settled(outcome.task, "captioned", outcome))
        return outcome_of(outcome.task, record)

    def _unchanged(self, outcome: Outcome) -> Outcome:
        """The outcome, or a failure where the file is another by now: its key is of what it was."""
        task, path = outcome.task, outcome.task.item.path
        with contextlib.suppress(VideoError):  # a file that is gone keeps what was read of it
            if task.item.remote is None and self._key(task.item) != task.key:
                changed = VideoError("changed", f"{path} changed during the run; give the command again")
                return Outcome(task=task, failure=Failure.of(changed))
        return outcome

    def _count(self, settled: _Settled) -> None:
        counts, outcome = self.counts, settled.outcome
        counts.kept += settled.state == "kept"
        counts.done += settled.state == "done"
        counts.failed_before += settled.state == "failed before"
        if outcome is not None:
            counts.captioned += outcome.failure is None
            counts.failed += outcome.failure is not None
            counts.warned += any(caption.warnings for caption in outcome.captions)

    def _load(self, settled: _Settled) -> Iterator[Outcome]:
        outcome = settled.outcome
        if settled.offset is not None:
            assert self.journal is not None
            outcome = outcome_of(settled.task, self.journal.read(settled.offset))
        if outcome is None:
            return
        if outcome.failure:
            self.counts.codes[outcome.failure.code] = self.counts.codes.get(outcome.failure.code, 0) + 1
        yield outcome


def record_of(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain values: what the journal holds."""
    task = outcome.task
    record: dict[str, Any] = {"key": task.key, "path": task.item.path}
    if outcome.failure:
        return record | {"code": outcome.failure.code, "message": outcome.failure.message}
    return record | {"captions": [row(caption) | _embedding(caption) for caption in outcome.captions]}


def _embedding(caption: Caption) -> dict[str, Any]:
    """What an index keeps beside the caption, where there is anything."""
    if caption.embedding is None:
        return {}
    kept = caption.embedding
    vector, thumbnail, features = (
        base64.b64encode(each).decode() for each in (kept.vector, kept.thumbnail, kept.features)
    )
    words = [
        {"word": sight.noun, "probability": sight.probability, "peak_seconds": sight.peak_seconds}
        for sight in kept.words
    ]
    return {"embedding": {"vector": vector, "words": words, "thumbnail": thumbnail, "features": features}}


def outcome_of(task: Task, record: dict[str, Any]) -> Outcome:
    """The outcome that a record is of, for a task of the same content."""
    if "code" in record:
        return Outcome(task=task, failure=Failure(code=record["code"], message=record["message"]))
    # The same content may have had another name then.
    captions = (replace(from_row(r), path=task.item.path, id=task.item.id) for r in record["captions"])
    return Outcome(task=task, captions=tuple(captions))
