"""What `python -m eval` reads, and the one clear line it says of what it cannot read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from captioner.errors import CaptionerError
from captioner.outputs.spreadsheet import csv_line
from eval.inputs.predictions import read_predictions
from eval.inputs.references import read_references


def put(path: Path, content: str | bytes | Any) -> Path:
    """Write text, bytes, or anything else as JSON."""
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


MSRVTT = {
    "videos": [
        {"video_id": "video1", "split": "test", "category": 2},
        {"video_id": "video2", "split": "validate", "category": 0},
        {"video_id": "video3", "split": "test", "category": 0},
    ],
    "sentences": [
        {"video_id": "video1", "caption": "a man runs"},
        {"video_id": "video2", "caption": "a cat sleeps"},
        {"video_id": "video1", "caption": "somebody is\nrunning"},
    ],
}


# --- predictions --------------------------------------------------------------------------------------------------


def test_json_lines_with_failures_duplicates_and_alternatives(tmp_path: Path):
    text = lines(
        {"id": "a", "caption": "a man\nruns", "alternatives": [{"caption": "a man runs"}, {"caption": "he runs"}]},
        {"id": "b", "error": "not a video"},
        {"id": "a", "caption": "another"},
        {"id": "c", "error": "timeout"},
        {"id": "c", "caption": "a later try"},
    )
    found = read_predictions(put(tmp_path / "p.jsonl", "\ufeff" + text))
    assert found.captions == {"a": "a man runs", "c": "a later try"}
    assert found.failed == {"b": "not a video"} and found.duplicates == ("a",) and found.with_line_breaks == 1
    assert found.alternatives == {"a": ("a man runs", "he runs")}


def test_our_own_csv_finds_clips_whose_names_begin_with_a_dash(tmp_path: Path):
    """YouTube's names do; the CSV guards them against spreadsheets."""
    table = put(tmp_path / "p.csv", "".join(map(csv_line, (("id", "caption"), ("-wa0umYJVGg_168_176", "a dog")))))
    assert read_predictions(table).captions == {"-wa0umYJVGg_168_176": "a dog"}


def test_coco_results_and_csv_say_the_same(tmp_path: Path):
    coco = put(tmp_path / "p.json", [{"image_id": 7, "caption": "a dog"}, {"image_id": 8, "caption": 'a "cat", <b>'}])
    table = put(tmp_path / "p.csv", 'id,caption,error\r\n7,a dog,\r\n8,"a ""cat"", <b>",\r\n9,,broken\r\n')
    assert read_predictions(coco).captions == read_predictions(table).captions == {"7": "a dog", "8": 'a "cat", <b>'}
    assert read_predictions(table).failed == {"9": "broken"}


def test_an_empty_caption_is_a_caption(tmp_path: Path):
    assert read_predictions(put(tmp_path / "p.csv", "id,caption\na,\n")).captions == {"a": ""}


def test_what_the_product_writes_is_read(tmp_path: Path):
    rows = lines({"path": "clips/a.mp4", "caption": "a dog", "confidence": 0.5, "alternatives": [], "warnings": []})
    assert read_predictions(put(tmp_path / "p.jsonl", rows)).captions == {"clips/a.mp4": "a dog"}


AB = {"a": "a dog", "b": "a cat"}
SHAPES = {
    "TSV": ("video_id\tcaption\na\ta dog\nb\ta cat\n", "a table with tabs, columns video_id and caption"),
    "semicolons": ("Video_ID;Text\na;a dog\nb;a cat\n", "a table with semicolons, columns Video_ID and Text"),
    "a sep line": ("sep=;\nname;sentence\na;a dog\nb;a cat\n", "a table with semicolons, columns name and sentence"),
    "UTF-16": ("image_id,caption\na,a dog\nb,a cat\n".encode("utf-16"), "a table with commas, columns image_id and"),
    "no header": ("a,a dog\nb,a cat\n", "a table with commas, no header: id and caption"),
    "no header, tabs": ("a\ta dog\nb\ta cat\n", "a table with tabs, no header"),
    "id to caption": (AB, "a JSON object with captions by id"),
    "id to captions": ({k: [v, "another"] for k, v in AB.items()}, "a JSON object with captions by id"),
    "pycocoevalcap": ({k: [{"caption": v}] for k, v in AB.items()}, "a JSON object with captions by id"),
    "id to object": ({k: {"caption": v} for k, v in AB.items()}, "a JSON object with captions by id"),
    "video captioning code": (
        {"predictions": {k: [{"image_id": k, "caption": v}] for k, v in AB.items()}, "scores": {"CIDEr": 1}},
        "a JSON object with 'predictions' by id",
    ),
    "a list of predictions": (
        {"predictions": [{"image_id": k, "caption": v} for k, v in AB.items()]},
        "a JSON list under 'predictions'",
    ),
    "other names": ([{"video": k, "sentence": v} for k, v in AB.items()], "a JSON list of captions"),
    "one line": (lines({"id": "a", "caption": "a dog"}), "JSON Lines"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_predictions_as_people_have_them(tmp_path: Path, name: str):
    content, taken_for = SHAPES[name]
    found = read_predictions(put(tmp_path / "p", content))
    assert found.captions == ({"a": "a dog"} if name == "one line" else AB)
    assert found.taken_for.startswith(taken_for)


@pytest.mark.parametrize(("which", "caption"), [("first", "a dog"), ("last", "a cat")])
def test_of_two_captions_one_counts(tmp_path: Path, which: Any, caption: str):
    path = put(tmp_path / "p.csv", "id,caption\na,a dog\nb,a fox\nb,a  fox\na,a cat\n")
    found = read_predictions(path, duplicates=which)
    assert found.captions == {"a": caption, "b": "a fox"} and found.duplicates == ("a",)


def test_two_captions_can_be_an_error(tmp_path: Path):
    path = put(tmp_path / "p.csv", "id,caption\n" + "".join(f"{i},{word}\n" for word in "xy" for i in range(7)))
    with pytest.raises(CaptionerError, match=r"7 clips have two different captions: 0, 1, 2, 3, 4, \.\.\.; take"):
        read_predictions(path, duplicates="error")


BAD_PREDICTIONS = {
    "malformed JSON": ('{"id": "a", "caption": "x"}\n{"id": "b", caption}\n', r"line 2: not valid JSON \("),
    "a cut-off list": ('[{"image_id": 1, "caption": "x"},', "not valid JSON: .*line 1"),
    "no id": (
        lines({"id": "a", "caption": "x"}, {"who": "a", "caption": "x"}),
        "line 2: no 'id' .* the row has 'caption'",
    ),
    "no caption": (
        lines({"id": "a", "error": "x"}, {"id": "b", "says": "x"}),
        "line 2: no 'caption' .* the row has 'id'",
    ),
    "many keys": (lines({"id": "a", "error": "x"}, dict.fromkeys("abcdefg")), "the row has 'a', 'b', 'c', 'd', 'e'$"),
    "a number for a caption": (lines({"id": "a", "caption": 3}), "line 1: 'caption' must be text, not 3"),
    "null for a caption": (lines({"id": "a", "caption": None}), "line 1: 'caption' must be text, not None"),
    "a list for an id": (lines({"id": [1], "caption": "x"}), "line 1: 'id' must name a clip"),
    "not objects": ("[1, 2]", "entry 1: expected an object with image_id and caption, not 1"),
    "a whole document": (json.dumps({"a": {"said": "x"}}, indent=1), "is one JSON object with the keys a;"),
    "alternatives of another kind": (lines({"id": "a", "caption": "x", "alternatives": [1]}), "'alternatives' must"),
    "alternatives not a list": (lines({"id": "a", "caption": "x", "alternatives": {"a": 1}}), "'alternatives' must"),
    "no header": ("a,a man runs,1\n", "line 1: not JSON, and as CSV its header must name 'id' and 'caption'"),
    "no header, and a row too long": ("a,a man\nb,a dog,runs\n", "line 2: expected 2 values \\(id, caption\\), not 3"),
    "an object of numbers": ('{"a": "x", "b": 3}', "'b': expected a caption or a list of captions, not 3"),
    "a row too short": ("id,caption\na,b\nc\n", "line 3: expected 2 values \\(id, caption\\), not 1"),
    "an open quote": ('id,caption\na,"b\n', r"line \d: not valid CSV"),
    "not UTF-8": (b'{"id": "a", "caption": "\xff"}\n', "is not UTF-8 text: .* at byte 24"),
    "nothing": ("", "holds no captions"),
    "an empty list": ("[]", "holds no captions"),
    "depth": ("[" * 100_000, "not valid JSON"),
}


@pytest.mark.parametrize("name", BAD_PREDICTIONS)
def test_bad_predictions_are_one_clear_line(tmp_path: Path, name: str):
    content, message = BAD_PREDICTIONS[name]
    path = put(tmp_path / "p.txt", content)
    with pytest.raises(CaptionerError, match=message) as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_missing_files_are_one_clear_line(tmp_path: Path):
    for read in (read_predictions, read_references):
        with pytest.raises(CaptionerError, match=r"cannot read .*none\.json: No such file"):
            read(tmp_path / "none.json")


# --- references ---------------------------------------------------------------------------------------------------


def test_a_manifest_gives_the_asked_split_and_other_names_of_its_clips(tmp_path: Path):
    path = put(
        tmp_path / "manifest.jsonl",
        lines(
            {"id": "a", "path": "clips/x.mp4", "split": "test", "captions": ["a  dog", "the dog"], "category": "pets"},
            {"id": "b", "path": "clips/y.mp4", "split": "train", "captions": ["a cat"]},
            {"id": "c", "path": "clips/z.mp4", "split": "test", "captions": []},
            {"id": "d", "path": "clips/x2.mp4", "split": "test", "captions": ["d"], "end_seconds": 3},
        ),
    )
    found = read_references(path)
    assert found.captions == {"a": ("a dog", "the dog"), "d": ("d",)} and found.split == "test"
    assert found.without_captions == ("c",) and found.categories == {"a": "pets"}
    for name in ("a", "x.mp4", "elsewhere/x.mp4", str(tmp_path / "clips/x.mp4"), "x"):
        assert found.clip_id(name) == "a"
    assert found.clip_id("y.mp4") is None and found.clip_id("x2.mp4") is None  # another split; a part of a video
    assert read_references(path, split="train").captions == {"b": ("a cat",)}


def test_an_id_with_a_dot_is_not_taken_for_a_file(tmp_path: Path):
    found = read_references(put(tmp_path / "m.jsonl", lines({"id": "v1", "captions": ["x"]})))
    assert found.clip_id("v1.mp4") == "v1" and found.clip_id("v1.5") is None


def test_coco_annotations(tmp_path: Path):
    document = {
        "images": [{"id": 1, "file_name": "one.jpg"}, {"id": 2, "file_name": "two.jpg"}],
        "annotations": [{"image_id": 1, "caption": "a"}, {"image_id": 1, "caption": "b"}],
    }
    found = read_references(put(tmp_path / "c.json", document))
    assert found.captions == {"1": ("a", "b")} and found.without_captions == ("2",) and found.split == ""
    assert found.clip_id("one.jpg") == "1"


def test_msrvtt_plain_and_zipped(tmp_path: Path):
    plain = put(tmp_path / "test_videodatainfo.json", MSRVTT)
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        archive.write(plain, "sub/test_videodatainfo.json")
        archive.writestr("category.txt", "music\t0\r\nsports/actions\t2\r\n")
    found, zipped = read_references(plain), read_references(tmp_path / "test.zip")
    assert found.captions == zipped.captions == {"video1": ("a man runs", "somebody is running")}
    assert found.split == "test" and found.without_captions == ("video3",)
    assert found.categories == {"video1": "2"} and zipped.categories == {"video1": "sports/actions"}
    assert read_references(plain, split="val").captions == {"video2": ("a cat sleeps",)}
    assert found.clip_id("videos/video1.mp4") == "video1"


def test_text_with_tabs_as_msvd_comes(tmp_path: Path):
    found = read_references(put(tmp_path / "sents.txt", "vid1\ta dog\nvid2\ta cat\nvid1\tthe dog\n"))
    assert found.captions == {"vid1": ("a dog", "the dog"), "vid2": ("a cat",)}


def test_the_digest_changes_with_the_references_and_not_with_the_file(tmp_path: Path):
    first = read_references(put(tmp_path / "a.txt", "1\ta dog\n2\ta cat\n"))
    same = read_references(put(tmp_path / "b.txt", "2\ta cat\n1\ta dog\n"))
    other = read_references(put(tmp_path / "c.txt", "1\ta dog\n2\ta cat.\n"))
    assert first.digest() == same.digest() != other.digest()


REFERENCES = {
    "id to captions": {"a": ["a dog", "one dog"], "b": ["a cat"]},
    "pycocoevalcap": {"a": [{"caption": "a dog"}, {"caption": "one dog"}], "b": [{"caption": "a cat"}]},
    "VATEX": [{"videoID": "a", "enCap": ["a dog", "one dog"], "chCap": []}, {"videoID": "b", "enCap": ["a cat"]}],
    "a list": [{"image_id": "a", "caption": c} for c in ("a dog", "one dog")] + [{"image_id": "b", "caption": "a cat"}],
    "TSV": "a\ta dog\na\tone dog\nb\ta cat\n",
    "CSV": "video_id,caption\na,a dog\na,one dog\nb,a cat\n",
}


@pytest.mark.parametrize("name", REFERENCES)
def test_references_as_people_have_them(tmp_path: Path, name: str):
    found = read_references(put(tmp_path / "r", REFERENCES[name]))
    assert found.captions == {"a": ("a dog", "one dog"), "b": ("a cat",)}


def test_references_in_a_folder(tmp_path: Path):
    with pytest.raises(CaptionerError, match=r"is a folder without \.txt files"):
        read_references(tmp_path)
    put(tmp_path / "a.txt", "a dog\none dog\n")
    put(tmp_path / "b.txt", "a cat")
    assert read_references(tmp_path).captions == {"a": ("a dog", "one dog"), "b": ("a cat",)}


BAD_REFERENCES = {
    "no such split": (lines({"id": "a", "split": "train", "captions": ["x"]}), "test", "no clip in the split 'test'"),
    "several splits, none of them test": (
        lines({"id": "a", "split": "train", "captions": ["x"]}, {"id": "b", "split": "val", "captions": ["x"]}),
        None,
        "it has: train, val; choose one with --split",
    ),
    "no captions": (lines({"id": "a", "captions": []}), None, "has no reference captions in the split 'test'"),
    "malformed": ('{"id": "a", "captions": ["x"]}\n{"id"\n', None, "line 2: not valid JSON"),
    "unknown keys": (lines({"id": "a", "caption": "x"}), None, "line 1: unknown key 'caption'"),
    "another document": ({"videos": [], "info": 1}, None, "holds no references: .* the keys 'videos', 'info'"),
    "coco without ids": ({"annotations": [{"caption": "x"}]}, None, "is not coco annotations .* KeyError 'image_id'"),
    "coco captions not text": ({"annotations": [{"image_id": 1, "caption": 2}]}, None, "captions of '1' must be text"),
    "msrvtt split": (MSRVTT, "train", "no clip in the split 'train'; it has: test, val"),
    "msrvtt without ids": ({"sentences": [{"caption": "x"}]}, None, "is not MSR-VTT's layout .* KeyError"),
    "a line without a tab": ("vid1\ta dog\nvid2 a cat\n", None, "line 2: expected a clip, a tab and a caption"),
    "not UTF-8": (b"\xff\xfa", None, "is not UTF-8 text"),
    "nothing": ("", None, "holds no clips"),
}


@pytest.mark.parametrize("name", BAD_REFERENCES)
def test_bad_references_are_one_clear_line(tmp_path: Path, name: str):
    content, split, message = BAD_REFERENCES[name]
    path = put(tmp_path / "r.json", content)
    with pytest.raises(CaptionerError, match=message) as caught:
        read_references(path, split=split)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_bad_zips_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "r.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CaptionerError, match="holds no JSON file with 'sentences'"):
        read_references(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", json.dumps(MSRVTT))
    monkeypatch.setattr("data.sources.LARGEST_UNPACKED", 10)
    with pytest.raises(CaptionerError, match=r"a\.json would unpack to .* refused"):
        read_references(path)
