"""A real server of the demo with tiny checkpoints, and a real Chromium."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

OUTSIDE: list[str] = []
"""Every address that this process tried to reach beside its own machine, since :func:`watch`."""

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
_BROWSER = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def watch() -> None:
    """Note every connection that Python opens to another machine; once a process, for good."""
    import huggingface_hub.constants

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # of gradio_client: the server needs no telling
    huggingface_hub.constants.HF_HUB_OFFLINE = True  # as app.py has it
    if not getattr(watch, "on", False):
        watch.on = True  # type: ignore[attr-defined]
        sys.addaudithook(_note)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
    elif event == "socket.getaddrinfo" and arguments[0]:
        host = str(arguments[0])
    else:
        return
    if not host.startswith(_LOOPBACK):
        frames = [f"{frame.name} in {frame.filename}" for frame in traceback.extract_stack()[:-1]]
        OUTSIDE.append(f"{host}: " + " < ".join(f for f in reversed(frames) if "http" not in f))


@contextmanager
def served(page: Any, limits: Any) -> Iterator[str]:
    """The address of a server of ``page``, for as long as the block runs."""
    from demo.server import ServerOptions, serve

    address = serve(page, options=ServerOptions(), limits=limits, model="tiny", block=False)
    try:
        yield address.rstrip("/")
    finally:
        page.close(verbose=False)


def chromium() -> str:
    """Path of a Chromium; skips the test where there is none."""
    pytest.importorskip("playwright", reason="pip install playwright")
    for name in (os.environ.get("CAPTIONER_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    pytest.skip("needs Chromium (apt-get install chromium, or CAPTIONER_CHROMIUM)")


_AXE = Path(__file__).parent.parent / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


def has_axe() -> bool:
    """Whether axe-core is installed: where CAPTIONER_AXE says, or as ``.ci/run`` does it."""
    return Path(os.environ.get("CAPTIONER_AXE", _AXE)).is_file()


def axe() -> str:
    """The script of axe-core, which finds what screen readers and keyboards cannot use; skips where there is none."""
    if not has_axe():
        pytest.skip("needs axe-core: npm install --prefix .venv/axe axe-core@4.14.1 (or CAPTIONER_AXE)")
    return Path(os.environ.get("CAPTIONER_AXE", _AXE)).read_text(encoding="utf-8")


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium through Playwright; skips where either is absent."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=_BROWSER)
        yield running
        running.close()


def shapes_clip(path: Path, *, number: int = 0, seconds: float = 1.5, side: int = 96) -> Path:
    """A clip of moving shapes, drawn by ``data.shapes``."""
    import numpy as np

    from data.shapes import FRAMES_PER_SECOND, draw, look, scenes, write_clip

    scene = scenes()["train"][number * 37]
    frames = draw(scene, look(scene, np.random.default_rng(number), size=side))
    index = np.linspace(0, len(frames) - 1, round(seconds * FRAMES_PER_SECOND)).round().astype(int)
    write_clip(path, frames[index])
    return path
