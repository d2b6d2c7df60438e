"""Files that a run writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from captioner.errors import CaptionerError, ConfigError
from captioner.io.files import ResumedFile, Template
from captioner.io.inputs import Item
from captioner.safe.whole import WholeFile

LINES = ["eins\n", "zwei \udcff\n", "drei\n"]
BYTES = b"eins\nzwei \\udcff\ndrei\n"


@pytest.mark.parametrize("before", [b"", b"eins\n", b"eins\nzw", b"other\n", BYTES, BYTES + b"more\n", b"einz\nzwei\n"])
def test_a_resumed_file_ends_up_the_same_whatever_was_there(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "out"
    path.write_bytes(before)
    with ResumedFile(path) as out:
        for number, line in enumerate(LINES):
            out.write(line)
            if BYTES.startswith(before):
                assert len(path.read_bytes()) >= len(before)  # never shorter than it was
            assert path.read_bytes().startswith(b"".join(BYTES.splitlines(keepends=True)[: number + 1]))
    assert path.read_bytes() == BYTES


def test_a_resumed_file_that_is_not_finished_keeps_its_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(BYTES)
    with pytest.raises(KeyboardInterrupt), ResumedFile(path) as out:
        out.write(LINES[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == BYTES


def test_a_whole_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out"
    with pytest.raises(CaptionerError, match="cannot write"):
        WholeFile(path)
    with pytest.raises(KeyboardInterrupt), WholeFile(path, make_folder=True) as out:
        out.write("half")
        raise KeyboardInterrupt
    assert list(path.parent.iterdir()) == []
    with WholeFile(path) as out:
        out.write("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path]


def test_a_full_device_is_one_clear_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full: run on Linux")
    with pytest.raises(CaptionerError, match="cannot write /dev/full: No space left"), ResumedFile("/dev/full") as out:
        out.write("x")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{folder}/{stem}.{format}", "in/clips/a.b.srt"),
        ("subs/{name}.{format}", "subs/a.b.mp4.srt"),
        ("{index:04}-{suffix}.txt", "0003-mp4.txt"),
        ("{id}.{{x}}", "vid7.{x}"),
    ],
)
def test_names_are_made_of_names(text: str, path: str) -> None:
    item = Item(path="in/clips/a.b.mp4", id="vid7")
    assert Template(text, form="srt").path(2, item) == Path(path)
    assert Template("{id}", form="srt").path(0, Item(path="x.mp4")) == Path("x")


@pytest.mark.parametrize("text", ["{steam}.srt", "{stem", "{}.srt", "{stem.x}", "all-{format}", "{folder}/x"])
def test_names_that_make_no_sense(text: str) -> None:
    with pytest.raises(ConfigError):
        Template(text, form="srt")


def test_two_videos_never_share_an_output() -> None:
    items = (Item(path="a.mp4"), Item(path="a.mkv"))
    with pytest.raises(CaptionerError, match="both be written"):
        Template("{stem}.srt", form="srt").check(items)
    Template("{name}.srt", form="srt").check(items)
