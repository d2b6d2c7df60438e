"""A Ray run gives the rows of a local one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.media import render_clip, render_text

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="pip install 'captioner[ray]'"),
]


def test_ray_gives_the_rows_of_a_local_run(checkpoint: Path, tmp_path: Path) -> None:
    clips = [render_clip(tmp_path / f"{i:02}.mp4", frames=12 + i, gop=4 + i % 7, size=(32, 24)) for i in range(40)]
    clips.insert(7, render_text(tmp_path / "text.mp4"))
    (tmp_path / "list").write_text("\n".join(map(str, clips)))
    said = {}
    for engine in ("local", "ray"):
        out = tmp_path / f"{engine}.jsonl"
        options = ["-o", str(out), "-m", str(checkpoint), "--engine", engine, "--jobs", "1", "--words"]
        said[engine] = subprocess.run(
            [sys.executable, "-m", "captioner", "caption", f"@{tmp_path / 'list'}", *options],
            capture_output=True,
            text=True,
            timeout=900,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "RAY_ADDRESS": "local"},
            check=False,
        )
        assert said[engine].returncode == 1, said[engine].stderr
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "ray.jsonl").read_text().splitlines()]
    assert len(rows) == 40 and len({row["log_prob"] for row in rows}) > 10
    ledgers = [(tmp_path / f"{engine}.jsonl.failures.jsonl").read_text() for engine in ("local", "ray")]
    assert ledgers[0] == ledgers[1] and "no_video" in ledgers[0]
    assert said["ray"].stdout == ""
