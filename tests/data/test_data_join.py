"""Pairing clips with captions: both sides are reported, nothing leaks from one split to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from captioner.errors import DataError
from captioner.manifest import Clip, read_manifest
from data.join import Join, Moment, assign, check_files, join, parse_moment, report, write
from data.sources import media_files, numbered_lines, squeeze, walk


def files_in(folder: Path, **contents: str) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.mp4").write_text(content)
    return {name: folder / f"{name}.mp4" for name in contents}


def test_both_sides_of_the_join_are_kept_and_reported(tmp_path: Path) -> None:
    files = files_in(tmp_path, a="1", b="2", silent="3", unlisted="4")
    captions = {"a": ["one", "two"], "b": ["three"], "unlisted": ["four"], "lost": ["five", "six"], "gone": ["seven"]}
    splits = {"a": "train", "b": "test", "lost": "train", "gone": "val", "silent": "train"}
    result = join(captions, splits, files, categories={"b": "sports"})

    assert [(c.id, c.path, c.split, c.captions, c.category) for c in result.clips] == [
        ("a", files["a"], "train", ("one", "two"), None),
        ("b", files["b"], "test", ("three",), "sports"),
    ]
    assert [(c.id, c.path, c.split, c.captions) for c in result.text] == [("lost", None, "train", ("five", "six"))]
    assert report(result).splitlines() == [
        "2 clips with 3 captions (1 train, 0 val, 1 test)",
        "1 clip without captions, left out: silent",
        "2 captioned videos without a clip: lost, gone",
        "1 captioned video in no split, left out: unlisted",
        "2 captions of 1 train video without a clip kept as text",
    ]


def test_long_lists_show_three_examples() -> None:
    result = Join(clips=(), clips_without_captions=tuple("abcdef"))
    assert report(result) == "6 clips without captions, left out: a, b, c, ..."  # and no line for what there is none of


def test_an_empty_join_is_refused_with_examples_of_both_sides(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the 1 file is named like 'a', the captions are for ids like 'vid1'"):
        join({"vid1": ["x"]}, {"vid1": "train"}, files_in(tmp_path, a="1"))
    with pytest.raises(DataError, match="no train captions"):
        join({"vid1": ["x"]}, {"vid1": "test"}, {})


def test_an_id_in_two_splits_is_refused() -> None:
    splits: dict[str, str] = {}
    assign(splits, "a", "train")
    assign(splits, "a", "train")
    with pytest.raises(DataError, match="'a' is in two splits, train and test"):
        assign(splits, "a", "test")


def test_one_file_or_a_copy_of_it_in_two_splits_is_refused(tmp_path: Path) -> None:
    files = files_in(tmp_path, a="same", b="same", c="size")
    captions = {name: ["x"] for name in files}
    with pytest.raises(DataError, match=r"b\.mp4 \(test\) holds the same video as .*a\.mp4 \(train\)"):
        join(captions, {"a": "train", "b": "test", "c": "val"}, files)
    assert len(join(captions, {"a": "train", "b": "train", "c": "val"}, files).clips) == 3
    with pytest.raises(DataError, match="holds the same video"):
        join({"a": ["x"], "b": ["x"]}, {"a": "train", "b": "val"}, {"a": files["a"], "b": files["a"]})


def test_a_clip_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the clip .*none\.mp4"):
        check_files([Clip(id="a", path=tmp_path / "none.mp4", split="train", captions=())])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [((0, 10), (9, 12), True), ((0, 10), (10, 12), False), ((3, 4), (0, 10), True), ((5, 6), (0, 5), False)],
)
def test_moments_overlap(one: tuple[float, float], other: tuple[float, float], same: bool) -> None:
    def moment(span: tuple[float, float], source: str = "yt") -> Moment:
        return Moment(source=source, start_seconds=span[0], end_seconds=span[1])

    assert moment(one).overlaps(moment(other)) == moment(other).overlaps(moment(one)) == same
    assert not moment(one).overlaps(moment(other, "another"))


def test_the_same_moment_of_a_source_in_two_splits_is_refused_and_another_moment_is_noted(tmp_path: Path) -> None:
    files = files_in(tmp_path, yt_0_10="1", yt_8_12="2", yt_10_20="3")
    captions = {name: ["x"] for name in files}
    moments = {name: moment for name in files if (moment := parse_moment(name))}
    with pytest.raises(DataError, match=r"'yt_0_10' \(train\) and 'yt_8_12' \(test\) show the same moment of yt"):
        join(captions, {"yt_0_10": "train", "yt_8_12": "test", "yt_10_20": "train"}, files, moments=moments)
    result = join(captions, {"yt_0_10": "train", "yt_8_12": "train", "yt_10_20": "val"}, files, moments={})
    assert result.notes == ()
    del captions["yt_8_12"]
    result = join(captions, {"yt_0_10": "train", "yt_10_20": "val"}, files, moments=moments)
    assert result.notes == (
        "1 source video(s) give different moments to different splits: yt_0_10 (train), yt_10_20 (val)",
    )


def test_names_with_underscores_and_dashes_are_moments() -> None:
    moment = Moment(source="-_a_1_b", start_seconds=2, end_seconds=30)
    assert parse_moment("-_a_1_b_2_30") == moment
    assert parse_moment("-_a_1_b_000002_000030") == moment
    assert parse_moment("vid12") is None


def test_write_leaves_the_manifests_of_this_run_only(tmp_path: Path) -> None:
    text = Clip(id="t", path=None, split="train", captions=("x",))
    clip = Clip(id="c", path=tmp_path / "c.mp4", split="val", captions=("y",))
    assert write(Join(clips=(clip,), text=(text,)), tmp_path) == [tmp_path / "manifest.jsonl", tmp_path / "text.jsonl"]
    assert read_manifest(tmp_path / "text.jsonl") == [text]
    with pytest.raises(
        DataError, match=r"text\.jsonl exists, and there is nothing for it here; --overwrite removes it"
    ):
        write(Join(clips=(clip,)), tmp_path)
    assert write(Join(clips=(clip,)), tmp_path, overwrite=True) == [tmp_path / "manifest.jsonl"]
    assert not (tmp_path / "text.jsonl").exists()


def test_squeeze_joins_lines_and_mends_half_characters() -> None:
    assert squeeze(" a man\n is\t eating ") == "a man is eating"
    assert squeeze("\ud83d smile").encode("utf-8") == b"? smile"


def test_lines_are_cut_at_newlines_only(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes("\ufeffone\x85still one\r\n\n three\u2028still\n".encode())
    assert numbered_lines(tmp_path / "t.txt") == [(1, "one\x85still one"), (3, " three\u2028still")]
    (tmp_path / "t.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="not UTF-8"):
        numbered_lines(tmp_path / "t.txt")
    with pytest.raises(DataError, match="cannot read"):
        numbered_lines(tmp_path / "none.txt")


def test_media_files_are_found_at_any_depth_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.MP4", "deep/a.webm", ".cache/c.mp4", "._b.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert media_files(tmp_path) == {"b": tmp_path / "b.MP4", "a": tmp_path / "deep" / "a.webm"}
    (tmp_path / "a.avi").touch()
    with pytest.raises(DataError, match="would both be the clip 'a'"):
        media_files(tmp_path)
    with pytest.raises(DataError, match="holds no media files"):
        media_files(tmp_path / ".cache" / "..", suffixes=frozenset({".png"}))


def test_a_file_name_that_no_manifest_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.mp4").touch()
    with pytest.raises(DataError, match="not valid UTF-8; rename it"):
        walk(tmp_path, suffixes=frozenset({".mp4"}))
