"""The counts of a run as Prometheus reads them."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Generator, Iterator

import pytest

from captioner.archive.engine import NOTHING_YET, Outcome, Task
from captioner.archive.monitoring import Metrics
from captioner.archive.run import Counts
from captioner.errors import CaptionerError
from captioner.io.inputs import Item


def scraped(metrics: Metrics) -> dict[str, float]:
    with urllib.request.urlopen(metrics.address, timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_counts_are_served_and_clips_are_timed() -> None:
    counts = Counts(total=9, captioned=3, done=1, failed=1, failed_before=1, codes={"damaged": 2})
    tasks = [Task(index=0, item=Item(path="a.mp4")), NOTHING_YET, Task(index=1, item=Item(path="b.mp4"))]

    def engine(tasks: Iterator[Task]) -> Generator[Outcome, None, None]:
        yield from (Outcome(task=task) for task in tasks)

    with Metrics(0, counts, waiting=lambda: 4) as metrics:
        assert [outcome.task for outcome in metrics.timed(engine)(iter(tasks))] == tasks
        values = scraped(metrics)
        assert values["captioner_captioned_total"] == 3 and values["captioner_known_total"] == 1
        assert values['captioner_failed_total{code="damaged"}'] == 2 and values["captioner_waiting"] == 4 + 3
        assert values["captioner_clip_seconds_count"] == 2
        counts.captioned += 1
        assert scraped(metrics)["captioner_captioned_total"] == 4
        port = int(metrics.address.split(":")[2].split("/")[0])
        with pytest.raises(CaptionerError, match=rf"--metrics-port {port} cannot be served: Address already in use"):
            Metrics(port, counts)
    with Metrics(port, counts):  # it was given back
        pass


def test_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaptionerError, match="--metrics-port 70000 cannot be served"):
        Metrics(70000, Counts(0))
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(CaptionerError, match=r"pip install 'captioner\[watch\]'"):
        Metrics(0, Counts(0))
