"""Fixtures that every test file may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


NUMERIC = (
    "tests/vision/",
    "tests/language/test_decoder",
    "tests/test_model",
    "tests/test_pipeline",
    "tests/test_default",
)
"""Tests whose numbers come from kernels that differ between processors: `make check` runs them as two others too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the numeric tests by where they stand."""
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
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One server of the web demo for all tests: the packaged checkpoint, and a tiny one that looks at whole frames."""
    pytest.importorskip("gradio", reason="pip install 'captioner[web]'")
    import app
    from captioner import Captioner
    from demo.limits import Limits
    from tests.tiny import tiny_checkpoint
    from tests.web import served, watch

    watch()
    folder = tmp_path_factory.mktemp("demo")
    captioner, tiny = Captioner.load(), Captioner.load(tiny_checkpoint(folder))
    limits = Limits(upload_megabytes=4, clip_minutes=12, decode_seconds=20, batch_files=5, text_megabytes=1)
    with served(app.build_app(captioner, others={"tiny": tiny}, limits=limits), limits) as address:
        yield Demo(address=address, captioner=captioner)
