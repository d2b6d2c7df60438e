"""The manifest: what is written is read back, and what is malformed is named with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import DataError
from captioner.manifest import SPLITS, Clip, read_manifest, write_manifest

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
SECONDS = st.none() | st.floats(0, 50)


@st.composite
def clip_lists(draw: st.DrawFn) -> list[Clip]:
    names = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
    clips = []
    for name in names:
        start = draw(SECONDS)
        clips.append(
            Clip(
                id=name,
                path=draw(st.sampled_from([None, Path("clips/a b.mp4"), Path("/else where/ü.mp4")])),
                split=draw(st.sampled_from(SPLITS)),
                captions=tuple(draw(st.lists(st.text(st.characters(codec="utf-8")), max_size=3))),
                start_seconds=start,
                end_seconds=None if start is None else start + draw(st.floats(0.1, 9)),
                category=draw(st.none() | TEXT),
            )
        )
    return clips


@settings(max_examples=60, deadline=None)
@given(clips=clip_lists())
def test_what_is_written_is_read_back(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("m")
    placed = [
        Clip(**{**vars(clip), "path": clip.path and folder / clip.path}) for clip in clips
    ]  # an absolute path stays itself
    assert write_manifest(folder / "manifest.jsonl", placed) == len(clips)
    assert read_manifest(folder / "manifest.jsonl") == placed


def test_paths_below_the_manifest_are_stored_relative_and_others_absolute(tmp_path: Path) -> None:
    inside = Clip(id="in", path=tmp_path / "set" / "clips" / "a.mp4", split="train", captions=())
    outside = Clip(id="out", path=tmp_path / "b.mp4", split="train", captions=())
    write_manifest(tmp_path / "set" / "manifest.jsonl", [inside, outside])
    rows = [json.loads(line) for line in (tmp_path / "set" / "manifest.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == ["clips/a.mp4", str(tmp_path / "b.mp4")]

    (tmp_path / "set").rename(tmp_path / "moved")
    assert read_manifest(tmp_path / "moved" / "manifest.jsonl")[0].path == tmp_path / "moved" / "clips" / "a.mp4"


def test_optional_keys_are_left_out_and_split_defaults_to_test(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [Clip(id="a", path=None, split="val", captions=("x",))])
    assert json.loads(path.read_text()) == {"id": "a", "split": "val", "captions": ["x"]}
    path.write_text('{"id": "a", "path": "a.mp4"}\n\n')
    assert read_manifest(path) == [Clip(id="a", path=tmp_path / "a.mp4", split="test", captions=())]


def test_one_split_only(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [Clip(id=s, path=None, split=s, captions=()) for s in ("val", "train")])
    assert [clip.id for clip in read_manifest(path, split="train")] == ["train"]
    with pytest.raises(DataError, match=r"no clip in the split 'test'; it has: train, val"):
        read_manifest(path, split="test")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "expected an object"),
        ('{"path": "a.mp4"}', "'id' must be"),
        ('{"id": ""}', "'id' must be"),
        ('{"id": 3}', "'id' must be"),
        ('{"id": "b", "split": "dev"}', "'dev' is not one of train, val, test"),
        ('{"id": "b", "captions": "a man"}', "'captions' must be a list of strings"),
        ('{"id": "b", "captions": [1]}', "'captions' must be a list of strings"),
        ('{"id": "b", "path": ""}', "'path' must be"),
        ('{"id": "b", "caption": ["x"]}', "unknown key 'caption'"),
        ('{"id": "b", "start_seconds": -1}', "must be a number of seconds"),
        ('{"id": "b", "start_seconds": true}', "must be a number of seconds"),
        ('{"id": "b", "end_seconds": NaN}', "must be a number of seconds"),
        ('{"id": "b", "end_seconds": 1' + "0" * 400 + "}", "must be a number of seconds"),
        ('{"id": "b", "start_seconds": 2, "end_seconds": 2}', "must be after start_seconds"),
        ('{"id": "b", "category": 3}', "'category' must be"),
        ('{"id": "a"}', "'a' appears twice"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"id": "a"}\n' + line + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_empty_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the manifest"):
        read_manifest(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no clips"):
        read_manifest(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "caf\xe9"}')
    with pytest.raises(DataError, match="not UTF-8"):
        read_manifest(tmp_path / "latin.jsonl")


def test_a_failed_write_leaves_the_old_manifest_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [Clip(id="old", path=None, split="train", captions=())])

    def interrupted() -> object:
        yield Clip(id="new", path=None, split="train", captions=())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, interrupted())  # type: ignore[arg-type]
    assert [clip.id for clip in read_manifest(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]
