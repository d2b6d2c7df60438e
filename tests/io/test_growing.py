"""A file that only grows is whole at any time, and has each line once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from captioner.errors import CaptionerError
from captioner.io.growing import GrowingFile


def line(path: str, text: object) -> str:
    return json.dumps({"path": path, "caption": text}) + "\n"


A, B, OTHER = line('a\\"', "one"), line('a\\"', "two"), line("b", "one")


def test_what_was_said_last_of_a_path_is_not_said_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(A + OTHER + '{"path": "c", "cap')  # a run was killed at the third
    with GrowingFile(path) as out:
        assert path.read_text() == A + OTHER
        out.write(OTHER)
        out.write(A)
        out.write("")
        out.write(line("c", "\udc80"))
    assert path.read_text() == A + OTHER + line("c", "\udc80")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_path_that_is_again_what_it_was_is_said_again(tmp_path: Path, restarts: bool) -> None:
    """The last row of a path counts: files change their names and change them back."""
    path = tmp_path / "out.jsonl"
    out = GrowingFile(path)
    for text in (A, A, OTHER, A, B, B, A, A, OTHER, A):
        out.write(text)
        if restarts:
            out.__exit__(None, None, None)
            out = GrowingFile(path)
    out.__exit__(None, None, None)
    assert path.read_text() == A + OTHER + B + A


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_segments_that_were_cut_off_are_completed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "out.jsonl"
    first, second = ([line("film", f"{name}{n}") for n in range(3)] for name in "xy")
    path.write_text("".join(first + second[:kept]) + '{"path": "film"')
    for _ in range(2):
        with GrowingFile(path) as out:
            out.write("".join(second))
        assert path.read_text() == "".join(first + second)


def test_one_that_is_moved_away_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with GrowingFile(path) as out:
        out.write("one\n")
        path.rename(tmp_path / "moved")
        out.write("two\n")
        path.unlink()
        path.write_text("by hand\n")
        out.write("three\n")
        out.write("one\n")
    assert (tmp_path / "moved").read_text() == "one\n" and path.read_text() == "by hand\nthree\n"


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    write = os.write
    with GrowingFile(path) as out:
        out.write("one\n")

        def full(file: int, data: bytes) -> int:
            if len(data) < 5:
                raise OSError(28, "No space left on device")
            return write(file, bytes(data[:-4]))

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(CaptionerError, match=r"out\.jsonl: No space left on device; finished results are kept"):
            out.write("two, which is longer\n")
        monkeypatch.setattr(os, "write", write)
        assert path.read_text() == "one\n"
        out.write("two, which is longer\n")
    assert path.read_text() == "one\ntwo, which is longer\n"
    with pytest.raises(CaptionerError, match=r"cannot write .*gone"):
        GrowingFile(tmp_path / "gone" / "out.jsonl")
