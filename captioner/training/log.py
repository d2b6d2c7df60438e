"""Logs a training run: metrics.jsonl, a status line on a terminal, and TensorBoard where installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from captioner.io.status import Status
from captioner.safe.whole import write_whole, writing


class TrainingLog:
    """Appends one JSON object a record to ``folder/metrics.jsonl`` and keeps people informed on stderr.

    A resumed run first drops the records made after the state it resumes from, so that the file reads as if the
    run had never stopped.
    """

    def __init__(self, folder: Path | None, *, records: int = 0, status: Status) -> None:
        """``records``: how many of those in the file there were in that state. ``folder`` None: only tell people."""
        self.records = records
        self.say, self.show = status.say, status.show
        self._file = folder / "metrics.jsonl" if folder else None
        self._board = _tensorboard(folder) if folder else None
        if self._file and self._file.exists():
            lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
            write_whole(self._file, "".join(lines[:records]), overwrite=True)

    def record(self, *, step: int, stage: str, values: dict[str, float]) -> None:
        """One record: the global step, the stage and its numbers."""
        row: dict[str, Any] = {"step": step, "stage": stage} | values
        self.records += 1
        if self._file:
            with writing(self._file), self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(f"{stage}/{name}", value, step)

    def counter(self, what: str, total: int) -> Callable[[object], None]:
        """A function that shows one more of ``total`` done each time it is called."""
        done = 0

        def count(_: object) -> None:
            nonlocal done
            done += 1
            self.show(f"{what}: {done}/{total}", share=done / total)

        return count


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
