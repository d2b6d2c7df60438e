"""The doctor finds a whole installation whole, and says what is wrong with another."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from captioner.cli import main


def test_a_whole_installation(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(checkpoint), "--json"]) == 0
    findings = {f["name"]: f for f in map(json.loads, capsys.readouterr().out.splitlines())}
    assert all(finding["ok"] for finding in findings.values())
    assert re.match(
        r"\d+\.\d\d s a clip of \d+ frames, without decoding: .* a sentence \((float32|bfloat16), \w+",
        findings["speed"]["detail"],
    )
    assert "of that clip" in findings["caption"]["detail"] and "h264" in findings["decoders"]["detail"]


def test_a_checkpoint_that_is_not_whole(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in checkpoint.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    with (broken / "model.safetensors").open("r+b") as weights:
        weights.seek(2000)
        weights.write(b"\xff")
    assert main(["doctor", str(broken)]) == 1
    out = capsys.readouterr().out
    assert "BAD  checkpoint:" in out and "is damaged or changed" in out and "Traceback" not in out
