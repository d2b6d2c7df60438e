"""No input is ever destroyed, and what goes wrong with a place or a stream is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from captioner.cli import main
from captioner.errors import CaptionerError
from captioner.io.files import refuse_to_overwrite
from tests.media import render_clip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    render_clip(tmp_path / "a.mp4", frames=24)
    render_clip(tmp_path / "b.mp4", frames=48)
    (tmp_path / "link.vtt").symlink_to("a.mp4")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "a.mp4")
    (tmp_path / "list.txt").write_text("a.mp4\nb.mp4\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.mp4", "-o", "a.mp4"],
        ["a.mp4", "-o", "./a.mp4", "--overwrite"],
        ["a.mp4", "-o", "link.vtt"],
        ["link.vtt", "-o", "a.mp4"],
        ["a.mp4", "-o", "hard.jsonl", "--overwrite"],
        ["a.mp4", "-o", "a.mp4", "--segments", "1"],
        ["a.mp4", "-o", "{stem}.mp4", "--overwrite"],
        ["a.mp4", "b.mp4", "-o", "a.mp4", "--overwrite"],
        ["a.mp4", "b.mp4", "-o", "link.vtt", "-f", "jsonl", "--overwrite"],
        ["a.mp4", "b.mp4", "-o", "{stem}.{suffix}", "--overwrite"],
        ["a.mp4", "b.mp4", "-o", "out.jsonl", "--journal", "b.mp4", "--overwrite"],
        ["a.mp4", "b.mp4", "-o", "out.jsonl", "--failures", "link.vtt", "--overwrite"],
        ["@list.txt", "-o", "list.txt", "--overwrite"],
        [".", "-o", "{folder}/{name}", "--overwrite"],
    ],
)
def test_an_output_that_is_an_input_is_refused(
    folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(["caption", *arguments]) == 1
    said = capsys.readouterr()
    assert "would destroy the input" in said.err and said.err.count("\n") == 1 and said.out == ""
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_is_there_is_kept(folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.vtt").write_text("by hand")
    command = ["caption", "a.mp4", "-o", "a.vtt", "-m", str(checkpoint)]
    assert main(command) == 1
    assert "a.vtt exists; --overwrite replaces it" in capsys.readouterr().err
    assert (folder / "a.vtt").read_text() == "by hand"
    assert main([*command, "--overwrite"]) == 0
    assert (folder / "a.vtt").read_text().startswith("WEBVTT")


def test_what_does_not_exist_is_nobodys(tmp_path: Path) -> None:
    refuse_to_overwrite(
        [str(tmp_path / "gone.mp4"), "a\0b"], [tmp_path / "gone.mp4", "a\0b", None, "x" * 300, tmp_path]
    )
    (tmp_path / "there").write_text("x")
    with pytest.raises(CaptionerError, match="would destroy"):
        refuse_to_overwrite([str(tmp_path / "there")], [f"{tmp_path}/./there"])


def shell(command: str, folder: Path, checkpoint: Path, *, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "CAPTION": f"{sys.executable} -m captioner caption -m {checkpoint}",
    }
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, input=data, capture_output=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("$CAPTION - < a.mp4", "stdin is not a list of names but binary data"),
        ("$CAPTION - --null < a.mp4", "stdin is not a list of names but binary data"),
        ("$CAPTION @a.mp4", "a.mp4 is not a list of names but binary data"),
        ("$CAPTION - <&-", "no videos in stdin|stdin: it is closed"),
        ("$CAPTION a.mp4 >&-", "stdout: it is closed; give -o FILE"),
        ("$CAPTION a.mp4 b.mp4 >&-", "stdout: it is closed; give -o FILE"),
        (f"$CAPTION a.mp4 -o {'x' * 300}", "File name too long"),
        (f"$CAPTION a.mp4 b.mp4 -o {'x' * 300}", "File name too long"),
        ("$CAPTION a.mp4 -o list.txt/x", "Not a directory"),
        ("$CAPTION a.mp4 --device cuda", "device is 'cuda', but"),
        ("$CAPTION a.mp4 b.mp4 --device cuda", "device is 'cuda', but"),
    ],
)
def test_one_line_for_each(folder: Path, checkpoint: Path, command: str, said: str) -> None:
    if "cuda" in command and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here; this is about machines without one")
    done = shell(command, folder, checkpoint)
    err = done.stderr.decode()
    assert done.returncode == 1 and any(part in err for part in said.split("|")), err
    assert "Traceback" not in err and err.strip().count("\n") <= 1


def test_closed_streams_lose_nothing(folder: Path, checkpoint: Path) -> None:
    """The first file opened must not become the closed stdout or stderr, into which a library may print."""
    assert shell("$CAPTION a.mp4 -o out.jsonl >&- 2>&- <&-", folder, checkpoint).returncode == 0
    assert (folder / "out.jsonl").read_text().startswith('{"path": "a.mp4"')
    assert shell("$CAPTION a.mp4 b.mp4 -o two.jsonl >&- 2>&- <&-", folder, checkpoint).returncode == 0
    assert [line[:16] for line in (folder / "two.jsonl").read_text().splitlines()] == [
        '{"path": "a.mp4"',
        '{"path": "b.mp4"',
    ]


def test_a_name_as_long_as_may_be(folder: Path, checkpoint: Path) -> None:
    for name in ("x" * 251 + ".vtt", "é" * 125 + ".srt"):  # 255 and 254 bytes
        assert main(["caption", "a.mp4", "-o", name, "-m", str(checkpoint)]) == 0
        assert (folder / name).stat().st_size


def test_one_output_that_cannot_be_written_is_that_files_failure(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "y" * 251 + ".mp4"  # a legal name whose subtitles' is not: .jsonl is longer
    (folder / "a.mp4").rename(folder / long)
    (folder / "c.jsonl").mkdir()
    render_clip(folder / "c.mp4", frames=24)
    command = ["caption", long, "c.mp4", "b.mp4", "-o", "{stem}.{format}", "-f", "jsonl", "-m", str(checkpoint)]
    assert main(command) == 1
    err = capsys.readouterr().err
    assert (folder / "b.jsonl").read_text().startswith('{"path": "b.mp4"')
    assert "File name too long [unwritable]" in err and "Traceback" not in err
    listed = (folder / "captioner.failures.jsonl").read_text().splitlines()
    assert len(listed) == 1 and '"code": "unwritable"' in listed[0]
    assert "1 output could not be written" in err and "1 left alone" in err
    assert not list(folder.glob(".captioner-*"))
