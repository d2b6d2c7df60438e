"""Captions as Parquet, read back by DuckDB, pandas and pyarrow."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from captioner.caption.result import Alternative, Caption, DetectedNoun, Word
from captioner.cli import main
from captioner.errors import CaptionerError
from captioner.outputs import parquet
from captioner.outputs.parquet import write_parquet, write_partitions
from captioner.outputs.rows import row
from captioner.outputs.writers import jsonl


def caption(path: str = "in/a.mp4", **changes: object) -> Caption:
    words = (
        Word(text="a", attention=(0.25, 0.75), peak_seconds=1.5),
        Word(text="dog", attention=(1.0, 0.0), peak_seconds=0.5, gates=(0.5, 0.25)),
    )
    base = Caption(
        path=path,
        text="a dog",
        score=-1.25,
        log_prob=-3.5,
        confidence=0.5,
        words=words,
        alternatives=(Alternative(text="a dog", score=-1.25, log_prob=-3.5),),
        evidence=(DetectedNoun(noun="dog", probability=0.5, peak_seconds=1.5, used=True),),
        times_seconds=(0.5, 1.5),
        start_seconds=0.0,
        end_seconds=2.0,
        warnings=("1 frame could not be decoded",),
        model="abc",
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


NONE: dict[str, Any] = {"words": (), "alternatives": (), "evidence": (), "warnings": (), "end_seconds": None}
BARE = caption("b.mp4", **NONE, support=0.5, match=0.25, scene_seconds=(0.5, 1.0), id="b")


def test_a_row_has_what_json_has(tmp_path: Path) -> None:
    target = tmp_path / "all.parquet"
    write_parquet([caption(), BARE], target)
    for written, expected in zip(pyarrow.parquet.read_table(target).to_pylist(), (caption(), BARE), strict=True):
        values = row(expected)
        for word in written["words"]:
            if word["gates"] is None:
                del word["gates"]
        assert {key: value for key, value in written.items() if key in values} == values
        assert all(written[key] in (None, []) for key in written.keys() - values.keys())
    told = duckdb.execute(f"SELECT path, unnest(words).text FROM '{target}' ORDER BY 2").fetchall()
    assert told == [("in/a.mp4", "a"), ("in/a.mp4", "dog")]
    frame = pd.read_parquet(target)
    assert list(frame.confidence) == [0.5, 0.5] and frame.words[0][1]["attention"].tolist() == [1.0, 0.0]


def test_parts_are_found_by_folder_and_by_day(tmp_path: Path) -> None:
    long = "/".join(["ä" * 60] * 6)
    paths = [str(tmp_path / name) for name in ("x/a.mp4", "x y=%/b.mp4", f"{long}/c.mp4", "x/d.mp4")]
    for path in (paths[0], paths[1], paths[3]):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
        os.utime(path, (86400 * 20_000, 86400 * 20_000 + 86399 * (path == paths[1])))
    os.utime(paths[3], (0, 0))
    for by in ("folder", "day"):
        write_partitions([caption(path) for path in paths], tmp_path / by, by=by)  # type: ignore[arg-type]
    query = "SELECT {0}, count(*) FROM read_parquet('{1}/{0}/*/*.parquet', hive_partitioning = true) GROUP BY 1"
    counts = dict(duckdb.execute(query.format("folder", tmp_path)).fetchall())
    assert {str(tmp_path / "x"): 2, str(tmp_path / "x y=%"): 1}.items() <= counts.items() and len(counts) == 3
    days = {str(day): count for day, count in duckdb.execute(query.format("day", tmp_path)).fetchall()}
    [unknown] = days.keys() - {"2024-10-04", "1970-01-01"}
    assert days == {"2024-10-04": 2, "1970-01-01": 1, unknown: 1} and unknown in ("None", "__HIVE_DEFAULT_PARTITION__")
    frame = pd.read_parquet(tmp_path / "folder")
    assert sorted(frame.path) == sorted(paths) and str(tmp_path / "x y=%") in set(frame.folder)


def test_it_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 128)

    def highest(count: int, target: Path, *, parts: int = 0) -> int:
        most = 0

        def captions() -> Iterator[Caption]:
            nonlocal most
            for number in range(count):
                most = max(most, pyarrow.total_allocated_bytes())
                yield caption(f"{number % parts if parts else 0}/{number}.mp4")

        before = pyarrow.total_allocated_bytes()
        if parts:
            write_partitions(captions(), target, by="folder")
        else:
            write_parquet(captions(), target)
        return most - before

    few, many = highest(300, tmp_path / "few.parquet"), highest(1500, tmp_path / "many.parquet")
    assert 0 < many < 1.3 * few
    file = pyarrow.parquet.ParquetFile(tmp_path / "many.parquet").metadata
    assert (file.num_rows, file.num_row_groups, file.row_group(0).num_rows) == (1500, 12, 128)
    assert highest(1500, tmp_path / "parts", parts=40) < 2 * few  # of more parts than files may be open
    [(count,)] = duckdb.execute(f"SELECT count(DISTINCT path) FROM '{tmp_path}/parts/*/*.parquet'").fetchall()
    assert count == 1500


@pytest.mark.parametrize("by", ["", "folder"])
def test_what_breaks_off_leaves_what_was_there(tmp_path: Path, by: str) -> None:
    target = tmp_path / "out"
    write = (lambda c: write_partitions(c, target, by="folder", overwrite=True)) if by else (
        lambda c: write_parquet(c, target, overwrite=True)
    )  # fmt: skip
    write([caption()])
    (target / "note.txt").write_text("mine") if by else None
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def broken() -> Iterator[Caption]:
        yield caption("other.mp4")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(broken())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    write([caption("other/c.mp4")])
    assert pd.read_parquet(target if not by else target / "folder=other").path.tolist() == ["other/c.mp4"]
    assert not by or ((target / "note.txt").read_text() == "mine" and not (target / "folder=in").exists())


def test_names_that_are_no_text_and_places_that_are_no_file(tmp_path: Path) -> None:
    write_parquet([caption(os.fsdecode(b"\xff.mp4"))], tmp_path / "a.parquet")
    assert pd.read_parquet(tmp_path / "a.parquet").path.tolist() == ["\\udcff.mp4"]
    with pytest.raises(CaptionerError, match=r"/dev/null is not a regular file"):
        write_parquet([caption()], "/dev/null")
    with pytest.raises(CaptionerError, match=r"exists; --overwrite"):
        write_parquet([BARE], tmp_path / "a.parquet")


def test_merge_makes_it_of_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(jsonl([caption(), BARE])))
    assert main(["merge", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "all.parquet")]) == 0
    frame = pd.read_parquet(tmp_path / "all.parquet")
    assert frame.path.tolist() == ["b.mp4", "in/a.mp4"] and frame.words[1][0]["text"] == "a"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["-f", "parquet"], 2, "one file of all captions"),
        (["-f", "parquet,jsonl", "-o", "{stem}.{format}"], 2, "one file of all captions"),
        (["-o", "a.jsonl", "--partition-by", "day"], 1, "needs pyarrow"),
        (["-f", "jsonl", "-o", "a.jsonl", "--partition-by", "day"], 2, "for -f parquet"),
        (["-o", "a.parquet"], 1, "Parquet needs pyarrow: pip install 'captioner[parquet]'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["caption", "a.mp4", *arguments]) == status
    assert said in (err := capsys.readouterr().err) and err.count("\n") == 1
