"""Every format, read back by a parser that is not ours where there is one."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re

import pytest

from captioner.caption.result import Alternative, Caption, DetectedNoun, Word
from captioner.errors import DataError
from captioner.outputs.rows import from_row
from captioner.outputs.writers import FORMATS, named_txt


def caption(**changes: object) -> Caption:
    base = Caption(
        path="clips/a.mp4",
        text="a man runs",
        score=-1.25,
        log_prob=-3.5,
        confidence=0.5,
        words=(Word(text="a", attention=(0.25, 0.75), peak_seconds=1.5),),
        alternatives=(Alternative(text="a man runs", score=-1.25, log_prob=-3.5),),
        times_seconds=(0.5, 1.5),
        start_seconds=0.0,
        end_seconds=2.0,
        warnings=("1 frame could not be decoded",),
        model="abc",
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def written(name: str, *captions: Caption) -> str:
    return "".join(FORMATS[name].write(captions))


TWO = (caption(), caption(path='b,"ü\n.mp4', text="zwei Hunde & <eine> Katze", end_seconds=None))


def test_json_lines_and_json_hold_the_same() -> None:
    lines = [json.loads(line) for line in written("jsonl", *TWO).splitlines()]
    assert lines == json.loads(written("json", *TWO))
    assert lines[0]["caption"] == "a man runs" and lines[1]["path"] == TWO[1].path
    assert lines[0]["words"] == [{"text": "a", "peak_seconds": 1.5, "attention": [0.25, 0.75]}]
    assert lines[1]["end_seconds"] is None and lines[0]["warnings"] == ["1 frame could not be decoded"]


def test_what_was_seen_is_written_and_read_back() -> None:
    sights = (DetectedNoun(noun="dog", probability=0.5, peak_seconds=1.5, used=True),)
    [line] = [json.loads(line) for line in written("jsonl", caption(evidence=sights)).splitlines()]
    assert line["evidence"] == [{"noun": "dog", "probability": 0.5, "peak_seconds": 1.5, "used": True}]
    assert from_row(line).evidence == sights
    assert "evidence" not in json.loads(written("jsonl", caption()))
    judged = json.loads(written("jsonl", caption(support=0.25, match=0.125)))
    assert (judged["support"], judged["match"], from_row(judged).match) == (0.25, 0.125, 0.125)


@pytest.mark.parametrize("name", ["caption", "times_seconds", "words", "alternatives", "warnings"])
def test_a_row_with_null_where_a_value_must_be_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"not a caption row.*{name} is null"):
        from_row(json.loads(written("jsonl", caption())) | {name: None})


def test_null_in_an_optional_column_is_as_if_it_were_absent() -> None:
    row = json.loads(written("jsonl", caption(end_seconds=None)))
    assert from_row(row | {"evidence": None, "scene_seconds": None, "support": None}) == from_row(row)


def test_the_scene_that_a_caption_describes_is_written_and_read_back() -> None:
    one = caption(scene_seconds=(0.75, 2.0))
    line = json.loads(written("jsonl", one))
    assert line["scene_seconds"] == [0.75, 2.0] and from_row(line).scene_seconds == (0.75, 2.0)
    assert "scene_seconds" not in json.loads(written("jsonl", caption()))
    assert [r["scene_seconds"] for r in csv.DictReader(io.StringIO(written("csv", one, caption())))] == [
        "0.750 2.000",
        "",
    ]
    assert written("vtt", one) == "WEBVTT\n\n00:00:00.750 --> 00:00:02.000\na man runs\n\n"
    assert written("txt", one) == "a man runs (00:00:00.7 - 00:00:02.0)\n"
    assert list(named_txt([one])) == ["clips/a.mp4: a man runs (00:00:00.7 - 00:00:02.0)\n"]


@pytest.mark.parametrize("name", ["json", "coco"])
def test_an_empty_list_is_still_a_document(name: str) -> None:
    assert json.loads(written(name)) == []


def test_coco_results() -> None:
    assert json.loads(written("coco", *TWO)) == [{"image_id": c.path, "caption": c.text} for c in TWO]


def test_csv_survives_odd_names() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", *TWO))))
    assert [r["path"] for r in rows] == [c.path for c in TWO]
    assert rows[0]["confidence"] == "0.5" and rows[1]["end_seconds"] == ""


@pytest.mark.parametrize("name", ["=1+1.mp4", "+a", "-x.mp4", "@b", "\tc"])
def test_csv_holds_no_formulas(name: str) -> None:
    [row] = csv.DictReader(io.StringIO(written("csv", caption(path=name))))
    assert row["path"] == "'" + name


def test_subtitles() -> None:
    long = caption(start_seconds=3599.9996, end_seconds=3661.25)
    assert written("srt", long, caption(path="b.mp4")) == (
        "1\n01:00:00,000 --> 01:01:01,250\na man runs\n\n2\n00:00:00,000 --> 00:00:02,000\na man runs\n\n"
    )
    vtt = written("vtt", *TWO)
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\na man runs\n\n")
    assert "zwei Hunde &amp; &lt;eine&gt; Katze" in vtt
    for begin, end in re.findall(r"(\S+) --> (\S+)", vtt):
        assert begin < end


def test_text_is_one_line_a_clip() -> None:
    assert written("txt", *TWO).splitlines() == [c.text for c in TWO]
    assert list(named_txt(TWO)) == ["clips/a.mp4: a man runs\n", 'b,"ü\\n.mp4: zwei Hunde & <eine> Katze\n']
