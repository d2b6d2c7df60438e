"""Fixtures that every test file may use."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.s3_server import S3

PROCESSES = min(4, os.cpu_count() or 1)
SLOW_FIRST = (
    "tests/demo/",
    "tests/runtime/",
    "tests/video/test_sampling",
    "tests/anomalies/",
    "tests/training/test_processes",
    "tests/checkpoint/test_hub",
    "tests/archive/",
)
"""What takes longest goes first, so that the processes end together."""

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


NUMERIC = (
    "tests/vision/",
    "tests/language/test_decoder",
    "tests/test_model",
    "tests/test_pipeline",
    "tests/test_default",
)
"""Tests whose numbers come from kernels that differ between processors: `make check` runs them as two others too."""


def pytest_configure() -> None:
    """Hear signals that a background job starts with ignored: the tests of signals send them to their children."""
    with contextlib.suppress(ValueError):  # a process of xdist whose tests run in another thread
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the whole suite in several processes where pytest-xdist is installed, and files that are named in one."""
    option = config.option
    whole = (
        not os.environ.get("PYTEST_XDIST_WORKER")
        and config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and option.markexpr != "ray"
    )
    if whole and config.pluginmanager.hasplugin("xdist") and option.numprocesses is None and not option.usepdb:
        option.numprocesses, option.loadscopereorder = PROCESSES, False
    if option.numprocesses:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # each has a core


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests run in one process and share its fixtures; those of the web demo share a server."""
    from xdist.scheduler import LoadFileScheduling

    class Rooms(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/demo" if nodeid.startswith("tests/demo/") else str(super()._split_scope(nodeid))

    return Rooms(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow files first, and mark the numeric tests by where they stand."""
    items.sort(key=lambda item: next((i for i, part in enumerate(SLOW_FIRST) if item.nodeid.startswith(part)), 99))
    for item in items:
        if any(part in item.nodeid for part in NUMERIC):
            item.add_marker(pytest.mark.numeric)


@dataclass(frozen=True)
class Demo:
    """A running server of the web demo."""

    address: str
    captioner: Any
    """The first of its checkpoints."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data beside the checkout (never part of it); skips where a stranger does not have it."""
    if not SHARED.is_dir():
        pytest.skip("needs the development data: put it into ../shared/data beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained checkpoint folder; read it, do not change it."""
    from tests.tiny import tiny_checkpoint

    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A real S3 server in a process of its own; use a new bucket for each test."""
    for package in ("moto", "flask", "flask_cors", "s3fs"):
        pytest.importorskip(package, reason="pip install 'captioner[dev]'")
    from tests.s3_server import s3_server

    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One server of the web demo for all tests: the packaged checkpoint, and a tiny one that looks at whole frames.

    The Find tab may index a folder of two clips, one of them in a subfolder, and of a text file.
    """
    pytest.importorskip("gradio", reason="pip install 'captioner[web]'")
    import app
    from captioner import Captioner
    from demo.finder import Source
    from demo.limits import Limits
    from tests.media import render_text
    from tests.tiny import tiny_checkpoint
    from tests.web import served, shapes_clip, watch

    watch()
    folder, archive = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("archive")
    (archive / "below").mkdir()
    shapes_clip(archive / "one.mp4"), shapes_clip(archive / "below" / "two.mp4", number=1)
    render_text(archive / "notes.mp4")
    source = Source(index=folder / "archive.db", folder=archive)
    captioner, tiny = Captioner.load(), Captioner.load(tiny_checkpoint(folder))
    limits = Limits(upload_megabytes=4, clip_minutes=12, decode_seconds=20, batch_files=5, text_megabytes=1)
    page = app.build_app(captioner, others={"tiny": tiny}, limits=limits, source=source)
    with served(page, limits) as address:
        yield Demo(address=address, captioner=captioner)
