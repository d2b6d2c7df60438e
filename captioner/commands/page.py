"""``captioner caption --open``: the page of ``eval look`` for the files of a command, in the browser."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import webbrowser
from pathlib import Path

import captioner
from captioner.errors import CaptionerError, UsageError
from captioner.io.inputs import Inputs
from captioner.io.progress import Monitor

ROOT = Path(captioner.__file__).resolve().parents[1]
_PARTS = ("segments", "start", "end", "frames", "mode")


def can_draw() -> bool:
    """Whether ``eval``, which draws the page, stands beside the package: in a checkout, not in an installed wheel."""
    return (ROOT / "eval" / "__main__.py").is_file()


def check_page(options: argparse.Namespace) -> None:
    """Raises UsageError for parts of files: the page shows whole ones."""
    if named := [name for name in _PARTS if getattr(options, name) is not None]:
        raise UsageError(f"--open uses whole files and the checkpoint's own settings; leave --{named[0]} out")


def open_page(options: argparse.Namespace, inputs: Inputs, monitor: Monitor) -> None:
    """Draw the page, say where it is, and open it. Files that cannot be captioned are named on it."""
    page = Path(tempfile.mkdtemp(prefix="captioner-")) / "captions.html"
    names = [os.path.abspath(item.path) for item in inputs.items]  # noqa: PTH100 - names stay as they are given
    model = "default" if options.model is None else options.model
    folder = Path(model)
    command = ["look", str(folder.resolve()) if folder.is_dir() else model, *names, "--out", str(page)]
    done = subprocess.run([sys.executable, "-m", "eval", *command], cwd=ROOT, capture_output=True)
    if not page.is_file():
        reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2].removeprefix("eval: ")
        raise CaptionerError(f"there is no page: {reason}")
    opened = webbrowser.open(page.as_uri())
    monitor.say(f"the page is {page}" + ("" if opened else "; no browser could be opened here"))
