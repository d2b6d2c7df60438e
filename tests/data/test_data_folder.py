"""A person's own clips: captions beside them or in a table, splits that stay put."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from captioner.errors import DataError
from data.captions import captions
from data.folder import folder as own_clips
from data.join import Join
from tests.media import render_clip


def folder(source: Path, **options: Any) -> Join:
    """Without a look at the clips: most of these tests use any bytes for them."""
    return own_clips(source, check=False, **options)


def place(root: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def by_name(result: object) -> dict[str, tuple[str, ...]]:
    return {clip.id: clip.captions for clip in result.clips}  # type: ignore[attr-defined]


def test_captions_in_text_files_beside_the_clips(tmp_path: Path) -> None:
    place(tmp_path, {"a.mp4": "1", "a.txt": "a man  eats\n\na person eats\n", "deep/b.jpg": "2", "deep/b.txt": "a dog"})
    place(tmp_path, {"c.mov": "3", "d.mov": "4", "d.txt": "\n", "notes.txt": "buy milk"})
    result = folder(tmp_path)
    assert by_name(result) == {"a.mp4": ("a man eats", "a person eats"), "deep/b.jpg": ("a dog",)}
    assert {clip.path for clip in result.clips} == {tmp_path / "a.mp4", tmp_path / "deep" / "b.jpg"}
    assert result.clips_without_captions == ("c.mov", "d.mov")
    assert result.captions_without_clip == ("notes.txt",)
    assert result.text == ()


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_captions_in_a_table(tmp_path: Path, suffix: str) -> None:
    rows = [("file", "caption"), ("a.mp4", "a man eats"), ("./deep\\b.mp4", '"a dog, ""Rex"", runs\nhome"')]
    rows += [("a.mp4", "a person eats"), ("c.mp4", ""), ("gone.mp4", "nothing")]
    table = "\r\n".join((";" if suffix == "" else "," if suffix == "csv" else "\t").join(row) for row in rows)
    place(tmp_path, {"a.mp4": "1", "deep/b.mp4": "2", "c.mp4": "3", f"captions.{suffix}": "\ufeff" + table})
    result = folder(tmp_path)
    assert by_name(result) == {"a.mp4": ("a man eats", "a person eats"), "deep/b.mp4": ('a dog, "Rex", runs home',)}
    assert result.clips_without_captions == ("c.mp4",)
    assert result.captions_without_clip == ("gone.mp4",)


def test_subfolders_are_splits(tmp_path: Path) -> None:
    for top in ("train", "validation", "test"):
        place(tmp_path, {f"{top}/x/a.mp4": top, f"{top}/x/a.txt": "a man"})
    result = folder(tmp_path)
    assert {clip.id: clip.split for clip in result.clips} == {
        "train/x/a.mp4": "train",
        "validation/x/a.mp4": "val",
        "test/x/a.mp4": "test",
    }
    place(tmp_path, {"test/copy.mp4": "train", "test/copy.txt": "a man"})
    with pytest.raises(DataError, match="holds the same video"):
        folder(tmp_path)
    place(tmp_path, {"a.mp4": "4"})
    with pytest.raises(DataError, match=r"3 clips .* 1 does not|4 clips .* but 1 does not \(a\.mp4\)"):
        folder(tmp_path)


def test_without_subfolders_the_content_decides(tmp_path: Path) -> None:
    for number in range(200):
        place(tmp_path, {f"{number:03}.mp4": f"content {number}", f"{number:03}.txt": "a man"})
    before = {clip.id: clip.split for clip in folder(tmp_path).clips}
    counts = Counter(before.values())
    assert 140 <= counts["train"] <= 180 and counts["val"] >= 8 and counts["test"] >= 8
    assert before == {clip.id: clip.split for clip in folder(tmp_path).clips}

    place(tmp_path, {"more.mp4": "more", "more.txt": "a cat", "copy.mp4": "content 7", "copy.txt": "a man"})
    (tmp_path / "008.mp4").rename(tmp_path / "renamed.mp4")
    (tmp_path / "008.txt").rename(tmp_path / "renamed.txt")
    after = {clip.id: clip.split for clip in folder(tmp_path).clips}
    assert {name: after[name] for name in before if name in after} == {n: s for n, s in before.items() if n in after}
    assert after["renamed.mp4"] == before["008.mp4"]
    assert after["copy.mp4"] == before["007.mp4"]

    assert {clip.split for clip in folder(tmp_path, fractions=(0, 0, 1)).clips} == {"test"}
    assert {clip.split for clip in folder(tmp_path, fractions=(0, 1, 0)).clips} == {"val"}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [6, 12, 25])
def test_few_clips_are_split_too(tmp_path: Path, count: int, seed: int) -> None:
    for number in range(count):
        place(tmp_path, {f"{number}.mp4": f"{seed} {number}", f"{number}.txt": "a man"})
    place(tmp_path, {"copy.mp4": f"{seed} 0", "copy.txt": "a man"})
    splits = {clip.id: clip.split for clip in folder(tmp_path).clips}
    assert splits.pop("copy.mp4") == splits["0.mp4"]
    counts = Counter(splits.values())
    assert counts["val"] >= 2 and counts["test"] >= 1 and counts["train"] >= 2


def test_an_empty_split_is_pointed_out(tmp_path: Path) -> None:
    place(tmp_path, {"a.mp4": "1", "a.txt": "a man"})
    result = folder(tmp_path, fractions=(0.5, 0.5, 0.0))
    empty = ({"train", "val"} - {result.clips[0].split}).pop()
    assert len(result.notes) == 1
    assert result.notes[0].startswith(f"no clip fell into {empty}: ")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"a.txt": "x"}, "holds no clips"),
        ({"a.mp4": "1"}, r"holds no captions: .*captions\.csv"),
        ({"a.mp4": "1", "b.txt": "a man"}, "the 1 file is named like 'a.mp4', the captions are for ids like 'b.txt'"),
        ({"a.mp4": "1", "a.mov": "2", "a.txt": "x"}, r"a\.txt could belong to a\.mov or to a\.mp4"),
        ({"a.mp4": "1", "captions.csv": "a.mp4,a man"}, "must name the columns file and caption"),
        ({"a.mp4": "1", "captions.csv": ""}, "must name the columns file and caption"),
        ({"a.mp4": "1", "captions.csv": "file,caption\na.mp4,a man, a dog\n"}, "line 2: more cells than columns"),
        ({"a.mp4": "1", "captions.csv": 'file,caption\na.mp4,"a man\n'}, "not a valid table"),
    ],
)
def test_bad_layouts(tmp_path: Path, contents: dict[str, str], message: str) -> None:
    place(tmp_path, contents)
    with pytest.raises(DataError, match=message):
        folder(tmp_path)


def test_caption_files_become_text(tmp_path: Path) -> None:
    coco = '{"annotations": [{"image_id": 7, "caption": "A  dog."}, {"image_id": 7, "caption": "A cat.\\n"}]}'
    place(tmp_path, {"lines.txt": "a man eats\n\na man eats\n", "coco.json": coco})
    result = captions([tmp_path / "lines.txt", tmp_path / "coco.json"])
    assert [(clip.id, clip.path, clip.split, clip.captions) for clip in result.text] == [
        ("lines:1", None, "train", ("a man eats",)),
        ("lines:3", None, "train", ("a man eats",)),
        ("coco:7", None, "train", ("A dog.", "A cat.")),
    ]


def test_caption_files_that_cannot_be_used(tmp_path: Path) -> None:
    place(tmp_path, {"empty.txt": "\n", "list.json": "[]", "a/x.txt": "a man", "b/x.txt": "a dog"})
    with pytest.raises(DataError, match="holds no captions"):
        captions([tmp_path / "empty.txt"])
    with pytest.raises(DataError, match="not a COCO caption file"):
        captions([tmp_path / "list.json"])
    with pytest.raises(DataError, match="'x:1' came from an earlier file"):
        captions([tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt"])


def test_clips_that_cannot_be_decoded_are_named_and_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        render_clip(tmp_path / f"{name}.mp4", frames=12 + len(name) + ord(name))
    place(tmp_path, {"junk.mp4": "junk", "empty.mkv": "", "bare.mov": "no captions"})
    render_clip(tmp_path / "camera.mts", frames=12, format="mpegts")
    place(tmp_path, {f"{name}.txt": "a man" for name in ("a", "b", "c", "junk", "empty", "camera")})
    result = own_clips(tmp_path)
    assert sorted(clip.id for clip in result.clips) == ["a.mp4", "b.mp4", "c.mp4", "camera.mts"]
    assert sum(note.startswith("left out: ") for note in result.notes) == 2
    assert any("junk.mp4 is a text file" in note for note in result.notes)
    assert any("empty.mkv is empty" in note for note in result.notes)
    only_junk = place(tmp_path / "only", {"junk.mp4": "junk", "junk.txt": "a man"})
    with pytest.raises(DataError, match=r"none of 1 clip with captions can be decoded; left out: .*text file"):
        own_clips(only_junk)


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    place(tmp_path / "store", {"x.mp4": "1", "x.txt": "a man", "deep/y.mp4": "2", "deep/y.txt": "a dog"})
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "deep" / "up").symlink_to(tmp_path / "store")
    assert sorted(clip.id for clip in folder(tmp_path / "own").clips) == ["link/deep/y.mp4", "link/x.mp4"]
