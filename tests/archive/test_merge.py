"""Rows of several runs in one file: the order of one run, each row once, and every hole said."""

from __future__ import annotations

import csv
import json
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from captioner.archive.journal import Journal
from captioner.archive.merge import Merge
from captioner.caption.result import Caption
from captioner.cli import main
from captioner.io.inputs import find_inputs
from captioner.outputs.rows import row


def values(path: str | Path, text: str = "a dog runs", *, start: float = 0.0, id: str = "") -> dict[str, Any]:
    return row(
        Caption(
            path=str(path),
            id=id,
            text=text,
            confidence=0.5,
            calibrated=True,
            abstained=False,
            score=-1.0,
            log_prob=-2.0,
            start_seconds=start,
            end_seconds=start + 2,
            times_seconds=(start, start + 1),
            words=(),
            alternatives=(),
            evidence=(),
            support=None,
            warnings=(),
            model="m",
        )
    )


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names in the order in which a run takes them, of files in folders whose names sort otherwise."""
    monkeypatch.chdir(tmp_path)
    for name in ("b/z.mp4", "b.mp4", "b/a/c.mp4", "a b/é.mp4", "a.mp4", "a/x.mp4", "b-1/y.mp4", "~.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    return [item.path for item in find_inputs(["in"], recursive=True).items]


def merge(*arguments: str) -> int:
    return main(["merge", *arguments, "-o", "all.jsonl"])


def test_rows_come_as_one_run_writes_them(archive: list[str], tmp_path: Path) -> None:
    rows = [values(path, f"caption of {path}", start=start) for path in archive for start in (0.0, 2.0, 10.0)]
    rows[4]["of a newer version"] = [1.5, None]
    mixed = random.Random(3).sample(rows, len(rows))
    files = [write(tmp_path / f"{part}.jsonl", *mixed[part::3]) for part in range(3)]
    assert merge(*files) == 0
    one = Path(write(tmp_path / "one.jsonl", *rows))
    assert Path("all.jsonl").read_bytes() == one.read_bytes()  # what one run writes, to the byte
    assert not Path("all.jsonl.failures.jsonl").exists()
    listed = Path("list")
    listed.write_text("\n".join(archive[::-1]))
    assert merge(*files, "--expect", "@list", "--overwrite") == 0
    assert [each["path"] for each in read(Path("all.jsonl"))] == [path for path in archive[::-1] for _ in range(3)]


def test_other_formats_are_written_too(archive: list[str], tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.jsonl", values(path)) for n, path in enumerate(archive)]
    assert main(["merge", *files, "-o", "all.csv", "-q"]) == 0
    with Path("all.csv").open(newline="", encoding="utf-8") as table:
        assert [each["path"] for each in csv.DictReader(table)] == archive
    assert main(["merge", *files, "-o", "all.json", "-q"]) == 0
    assert [each["path"] for each in json.loads(Path("all.json").read_text())] == archive


def test_equal_rows_stand_once_and_different_ones_are_refused(
    archive: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "one.jsonl", values(archive[0]), values(archive[1], "a cat"), values(archive[2]))
    two = write(tmp_path / "two.jsonl", values(archive[2]), values(archive[1], "a cow"))
    assert merge(one, two) == 1
    said = capsys.readouterr().err
    assert f"{archive[1]}: {one}:2 and {two}:2 differ in caption [conflict]" in said
    assert "--prefer" in said and not Path("all.jsonl").exists()
    for prefer, told in (("first", "a cat"), ("last", "a cow")):
        assert merge(one, two, "--prefer", prefer, "--overwrite") == 0
        assert [each["caption"] for each in read(Path("all.jsonl"))] == ["a dog runs", told, "a dog runs"]
        assert "3 rows from 2 files; 2 duplicate rows left out" in capsys.readouterr().err
    assert merge(two, two) == 1 and "exists" in capsys.readouterr().err
    before = Path(two).read_bytes()
    assert main(["merge", one, two, "-o", two, "--overwrite"]) == 1 and Path(two).read_bytes() == before


def test_clips_of_one_file_are_told_apart(archive: list[str], tmp_path: Path) -> None:
    rows = [values(archive[0], id=name, start=start) for name, start in (("b", 0.0), ("a", 0.0), ("a", 4.0))]
    assert merge(write(tmp_path / "one.jsonl", *rows)) == 0
    assert [(each["id"], each["start_seconds"]) for each in read(Path("all.jsonl"))] == [("a", 0), ("a", 4), ("b", 0)]


def test_holes_are_said(archive: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "one.jsonl", *map(values, archive[:3]), values("elsewhere.mp4"))
    two = write(tmp_path / "two.jsonl", values(archive[4]), {"path": archive[6], "error": "it hung"})
    failed = {"path": archive[5], "code": "damaged", "error": "no frame"}
    write(tmp_path / "one.jsonl.failures.jsonl", failed, {"path": archive[4], "code": "timeout", "error": "hung"})
    assert merge(one, two, "--expect", "in", "-r") == 1
    said = capsys.readouterr().err
    ledger = [(each["path"], each["code"]) for each in read(Path("all.jsonl.failures.jsonl"))]
    missing = [(archive[n], "missing") for n in (3, 7)]
    assert ledger == [(archive[5], "damaged"), (archive[6], "failed"), *missing]  # archive[4] was captioned later
    assert all(f"{path}" in said and f"[{code}]" in said for path, code in ledger)
    assert "2 failed, 2 missing" in said and "1 row of unexpected files" in said
    assert [each["path"] for each in read(Path("all.jsonl"))] == [*archive[:3], archive[4], "elsewhere.mp4"]


def test_a_shard_that_is_missing_is_named(
    archive: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write(tmp_path / f"{n}.jsonl", values(archive[n])) for n in range(4)]
    for number, file in enumerate(files[:3], start=1):
        with Journal(f"{file}.journal", shard=f"{number}/4"):
            pass
        with Journal(f"{file}.journal", shard="9/9"):  # the first run counts
            pass
    assert merge(files[0], files[2]) == 1
    assert "no file has shard 2/4, 4/4" in capsys.readouterr().err
    assert merge(*files, "--overwrite") == 0  # the last has no journal: it may be any shard


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"path": "a.mp4", "capt', "not valid JSON"),
        (b"[1, 2]", "this is list, not a row"),
        (b'{"path": "a.mp4", "caption": "a dog"}', "not a caption row"),
        (b'{"caption": 5, "error": 5}', "not a caption row"),
        (b'{"error": {}, "path": "a.mp4"}', "not a row of failures"),
        (b'\xff\xfe{"path"', "not UTF-8"),
        (b"[" * 100_000, "nested"),
        (json.dumps(values("a.mp4") | {"end_seconds": 10**400}).encode(), "not a caption row"),
        (json.dumps(values("a.mp4") | {"path": 5}).encode(), "not a caption row"),
    ],
)
def test_a_malformed_line_is_named_and_the_others_are_kept(
    archive: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes, problem: str
) -> None:
    good = json.dumps(values(archive[0])).encode()
    (tmp_path / "one.jsonl").write_bytes(b"\xef\xbb\xbf" + good + b"\r\n\r\n" + line + b"\n")
    assert merge("one.jsonl") == 1
    said = capsys.readouterr().err
    assert "one.jsonl:3: " in said and problem in said and "[malformed]" in said and "1 malformed line " in said
    assert [each["path"] for each in read(Path("all.jsonl"))] == [archive[0]]


def test_names_that_are_no_text(archive: list[str], tmp_path: Path) -> None:
    name = os.fsdecode(b"in/\xff.mp4")
    (tmp_path / "one.jsonl").write_text(json.dumps(values(name)) + "\n")
    assert merge("one.jsonl", "--expect", name) == 0
    assert read(Path("all.jsonl"))[0]["path"] == name


def test_rows_are_not_held(tmp_path: Path) -> None:
    text = json.dumps(values("PATH", "word " * 300))
    with (tmp_path / "big.jsonl").open("w") as out:
        out.writelines(text.replace("PATH", f"in/{n % 50}/{n}.mp4") + "\n" for n in range(4000))
    size = (tmp_path / "big.jsonl").stat().st_size
    tracemalloc.start()
    try:
        with Merge([tmp_path / "big.jsonl"]) as merged:
            assert not list(merged.read()) and not list(merged.conflicts())
            assert sum(1 for _ in merged.merged()) == merged.rows == 4000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 7e6 and peak < 1e6


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["gone.jsonl"], 1, "cannot read gone.jsonl: No such file"),
        (["."], 1, "cannot read .: Is a directory"),
        (["one.jsonl", "-r"], 2, "--expect"),
        (["one.jsonl", "--expect", "."], 1, "no videos in . "),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "one.jsonl", values("a.mp4"))
    assert merge(*arguments) == status
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and not Path("all.jsonl").exists()
