"""A file that only grows is whole at any time, and has each line once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from captioner.errors import CaptionerError
from captioner.io.growing import GrowingFile


def test_lines_are_added_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": 2}\n{"c":')  # a run was killed at the third
    with GrowingFile(path) as out:
        assert path.read_bytes() == b'{"a": 1}\n{"b": 2}\n'
        out.write('{"b": 2}\n')
        out.write('{"c": "\udc80"}\n{"a": 1}\n')
        out.write("")
        out.write('{"d": 4}\n')
    assert path.read_bytes() == b'{"a": 1}\n{"b": 2}\n{"c": "\\udc80"}\n{"d": 4}\n'
    with GrowingFile(path) as out:
        out.write('{"d": 4}\n{"e": 5}\n')
    assert path.read_bytes().splitlines()[3:] == [b'{"d": 4}', b'{"e": 5}']


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
        with pytest.raises(CaptionerError, match=r"out\.jsonl: No space left on device; what was done is kept"):
            out.write("two, which is longer\n")
        monkeypatch.setattr(os, "write", write)
        assert path.read_text() == "one\n"
        out.write("two, which is longer\n")
    assert path.read_text() == "one\ntwo, which is longer\n"
    with pytest.raises(CaptionerError, match=r"cannot write .*gone"):
        GrowingFile(tmp_path / "gone" / "out.jsonl")
