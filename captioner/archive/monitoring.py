"""How a run goes, as text that Prometheus reads, on a port of this machine (extra captioner[watch])."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from captioner.archive.engine import NOTHING_YET, Outcome, Task
from captioner.archive.run import Counts, Engine
from captioner.errors import CaptionerError
from captioner.io.extras import import_extra

_ADDRESS = "127.0.0.1"
_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Serves the counts of a run while the ``with`` block lasts.

    ``captioner_captioned_total``, ``captioner_known_total`` (by the journal), ``captioner_failed_total`` by code,
    ``captioner_waiting``, and ``captioner_clip_seconds``: from the moment a decoder took a clip to its captions.
    """

    def __init__(self, port: int, counts: Counts, *, waiting: Callable[[], int] = lambda: 0) -> None:
        """``waiting`` files are not in ``counts`` yet. Raises CaptionerError where the port cannot be had."""
        self._client = import_extra("prometheus_client", extra="watch", what="--metrics-port")
        self._counts, self._waiting = counts, waiting
        registry = self._client.CollectorRegistry()
        registry.register(self)
        self._seconds = self._client.Histogram(
            "captioner_clip_seconds", "Seconds from taking a clip to its captions", buckets=_SECONDS, registry=registry
        )
        try:
            self._server, self._thread = self._client.start_http_server(port, addr=_ADDRESS, registry=registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CaptionerError(f"--metrics-port {port} cannot be served: {reason}; give another port") from error
        self.address = f"http://{_ADDRESS}:{self._server.server_port}/metrics"

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def collect(self) -> Iterator[Any]:
        """What Prometheus asks for."""
        core, counts = self._client.metrics_core, self._counts
        for name, about, value in (
            ("captioner_captioned", "Files captioned by this run", counts.captioned),
            ("captioner_known", "Files captioned by an earlier run", counts.done),
        ):
            yield core.CounterMetricFamily(name, about, value=value)
        failed = core.CounterMetricFamily("captioner_failed", "Files without a caption, by code", labels=["code"])
        for code, count in dict(counts.codes).items():
            failed.add_metric([code], count)
        yield failed
        waiting = self._waiting() + counts.total - counts.settled
        yield core.GaugeMetricFamily("captioner_waiting", "Files found and not done", value=waiting)

    def timed(self, engine: Engine) -> Engine:
        """The engine, with the time of each clip taken."""

        def run(tasks: Iterator[Task]) -> Generator[Outcome, None, None]:
            began: dict[int, float] = {}

            def taken() -> Iterator[Task]:
                for task in tasks:
                    if task is not NOTHING_YET:
                        began[task.index] = time.monotonic()
                    yield task

            with contextlib.closing(engine(taken())) as outcomes:
                for outcome in outcomes:
                    if outcome.task.index in began:
                        self._seconds.observe(time.monotonic() - began.pop(outcome.task.index))
                    yield outcome

        return run
