"""Text of strangers: every line end, byte-order mark and encoding; JSON of any depth, size and number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from captioner.config import read_toml
from captioner.errors import CaptionerError, DataError
from captioner.manifest import read_manifest
from captioner.safe.json_text import DEEPEST, parse_json, read_settings
from captioner.safe.text import first_line_of, read_text, split_lines
from data.sources import numbered_lines, read_table
from eval.inputs.predictions import read_predictions
from eval.inputs.references import read_references

ENDS = {"LF": "\n", "CR LF": "\r\n", "CR alone": "\r"}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_line_end_and_encoding_gives_the_same(tmp_path: Path, end: str, encoding: str) -> None:
    def file(name: str, *lines: str) -> Path:
        (tmp_path / name).write_bytes(end.join([*lines, ""]).encode(encoding))
        return tmp_path / name

    assert numbered_lines(file("a.txt", "a man", "", "a dog")) == [(1, "a man"), (3, "a dog")]
    for mark, name in ((",", "a.csv"), ("\t", "a.tsv"), (";", "b.csv")):
        table = file(name, f"id{mark}caption", f"v1{mark}a man", f"v2{mark}a dog")
        assert read_predictions(table).captions == {"v1": "a man", "v2": "a dog"}
        assert read_references(table).captions == {"v1": ("a man",), "v2": ("a dog",)}
        if mark != ";":
            assert [row["caption"] for _, row in read_table(table, needs=("id", "caption"))] == ["a man", "a dog"]
    rows = [json.dumps({"id": name, "captions": ["x"], "split": "test"}) for name in ("v1", "v2")]
    assert [clip.id for clip in read_manifest(file("a.jsonl", *rows))] == ["v1", "v2"]
    lines = [json.dumps({"id": name, "caption": "x"}) for name in ("v1", "v2")]
    assert read_predictions(file("b.jsonl", *lines)).captions == {"v1": "x", "v2": "x"}
    assert read_toml(file("r.toml", "[train]", "epochs = 3")) == {"train": {"epochs": 3}}


def test_only_line_ends_end_lines() -> None:
    assert split_lines("a\x85b\u2028c\vd\n\ne") == ["a\x85b\u2028c\vd", "", "e"]
    assert split_lines("a\rb\nc\n") == ["a\rb", "c"], "a caption that holds a CR"
    assert split_lines("a\rb\rc\n") == ["a", "b", "c"], "an editor put the last end there"
    assert split_lines("") == [] and split_lines("a\r\n") == ["a"]
    assert first_line_of("\r\nid,caption\rx") == "id,caption"


DEEP = "[" * 100_000
NESTED = "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 100_000, NESTED, "1" * 5000, "{", "\udc80", '{"id": ' + DEEP])
def test_no_json_ends_the_program(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for read in (read_settings, read_manifest, read_predictions, read_references):
        with pytest.raises(CaptionerError) as caught:
            result = read(path)
            list(result) if isinstance(result, map) else None
        assert "config.json" in str(caught.value) and len(str(caught.value)) < 400


def test_what_is_deep_enough_is_read() -> None:
    inside = "[" * DEEPEST + "]" * DEEPEST
    assert parse_json(inside, name="x") is not None
    with pytest.raises(DataError, match="x is not valid JSON: it is nested more than 64 deep"):
        parse_json(NESTED, name="x")


def test_a_file_of_any_size_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # holes: it takes no room
    with pytest.raises(DataError, match="more than 0 MB"):
        read_text(path, largest=1000)
    with pytest.raises(DataError, match="more than 64 MB"):
        read_settings(path)
