"""What a command line names, as one list: each file once, in order, and what was passed by."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from captioner.errors import CaptionerError, ConfigError
from captioner.io.inputs import Inputs, Item, Shard, find_inputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.mp4",
        "a.MKV",
        "notes.txt",
        "photo.jpg",
        ".hidden.mp4",
        "sub/c.webm",
        "sub/deep/d.avi",
        ".git/e.mp4",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs: Inputs) -> list[str]:
    return [item.path for item in inputs.items]


def test_a_folder_gives_its_videos_in_order(folder: Path) -> None:
    found = find_inputs(["."])
    assert names(found) == ["./a.MKV", "./b.mp4"]
    assert (found.hidden, found.others, found.is_one_file) == (2, 2, False)
    assert names(find_inputs(["."], images=True)) == ["./a.MKV", "./b.mp4", "./photo.jpg"]
    deep = find_inputs([str(folder)], recursive=True)
    assert names(deep) == [str(folder / n) for n in ("a.MKV", "b.mp4", "sub/c.webm", "sub/deep/d.avi")]


def test_what_is_named_is_taken_as_it_is(folder: Path) -> None:
    found = find_inputs(["notes.txt", ".hidden.mp4", "gone.mp4"])
    assert names(found) == ["notes.txt", ".hidden.mp4", "gone.mp4"]
    assert find_inputs(["b.mp4"]).is_one_file and not find_inputs(["*.mp4"]).is_one_file


def test_patterns_are_expanded_here_too(folder: Path) -> None:
    assert names(find_inputs(["*.mp4", "sub/**/*.avi"])) == ["b.mp4", "sub/deep/d.avi"]
    assert names(find_inputs(["x*.mp4"])) == ["x*.mp4"]  # matches nothing: the decoder will say that it is not there
    Path("[1].mp4").touch()
    assert names(find_inputs(["[1].mp4"])) == ["[1].mp4"]  # a file of that very name


def test_duplicates_come_once_where_they_came_first(folder: Path) -> None:
    found = find_inputs(["b.mp4", "./b.mp4", str(folder / "b.mp4"), "sub/../b.mp4", "a.MKV"])
    assert names(found) == ["b.mp4", "a.MKV"] and found.duplicates == 3


def test_lists(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("list.txt").write_bytes(b"\xef\xbb\xbfb.mp4\r\n\n  \nsub\nnew.mp4\n")
    assert names(find_inputs(["@list.txt"])) == ["b.mp4", "sub/c.webm", "new.mp4"]
    Path("list.0").write_bytes(b"new\nline.mp4\0\xff.mp4\0-x.mp4")
    assert names(find_inputs(["@list.0"], null=True)) == ["new\nline.mp4", os.fsdecode(b"\xff.mp4"), "-x.mp4"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"b.mp4\na.MKV\n")))
    assert names(find_inputs(["-"])) == ["b.mp4", "a.MKV"]
    with pytest.raises(CaptionerError, match="cannot read the list none"):
        find_inputs(["@none"])


def test_a_manifest_names_clips_and_parts_of_them(folder: Path) -> None:
    rows = [
        {"id": "one", "path": "b.mp4", "split": "test"},
        {"id": "two", "path": "b.mp4", "split": "test", "start_seconds": 5, "end_seconds": 6},
        {"id": "three", "path": "a.MKV", "split": "train"},
        {"id": "text", "split": "test", "captions": ["no clip"]},
    ]
    Path("m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = find_inputs([], manifests=["m.jsonl"], split="test", end_seconds=2)
    assert [(i.id, i.start_seconds, i.end_seconds) for i in found.items] == [("one", None, 2), ("two", 5, 6)]


def test_nothing_found_says_what_was_passed_by(folder: Path) -> None:
    (folder / "empty" / "inner").mkdir(parents=True)
    (folder / "empty" / "x.txt").touch()
    with pytest.raises(CaptionerError, match=r"no videos in empty \(0 hidden and 1 other file skipped\); add -r"):
        find_inputs(["empty"])
    (folder / "empty" / "x.JPG").touch()
    with pytest.raises(CaptionerError, match="takes 1 photo with --images"):
        find_inputs(["empty"])
    assert find_inputs(["empty"], images=True).items


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything: run as another user")
def test_a_folder_that_cannot_be_listed_is_told(folder: Path) -> None:
    (folder / "sub").chmod(0)
    found = find_inputs(["."], recursive=True)
    (folder / "sub").chmod(0o755)
    assert found.unreadable == (("./sub", "Permission denied"),)


def test_shards_part_the_list_and_stay_where_they_are() -> None:
    items = [Item(path=f"clips/{i}.mp4") for i in range(100)]
    shards = [Shard.parse(f"{i}/3") for i in (1, 2, 3)]
    parts = [[item for item in items if shard.takes(item)] for shard in shards]
    assert sorted(item.path for part in parts for item in part) == sorted(item.path for item in items)
    assert all(20 < len(part) < 50 for part in parts)
    assert [i for i in items[50:] if shards[0].takes(i)] == [i for i in parts[0] if i in items[50:]]
    for text in ("0/3", "4/3", "1", "a/b", "1/0", "-1/3"):
        with pytest.raises(ConfigError, match="I/N"):
            Shard.parse(text)


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    (tmp_path / "store" / "deep").mkdir(parents=True)
    for name in ("store/x.mp4", "store/deep/y.MTS"):
        (tmp_path / name).touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "deep" / "up").symlink_to(tmp_path / "store")
    found = find_inputs([str(tmp_path / "own")], recursive=True)
    assert [os.path.relpath(name, tmp_path) for name in names(found)] == ["own/link/x.mp4", "own/link/deep/y.MTS"]


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(CaptionerError, match="an input is empty"):
        find_inputs([""])
