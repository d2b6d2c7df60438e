"""An index, from records to what is found: filters, reasons, files that come and go, locks, formats, kill -9."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.archive.engine import Failure, Outcome, Task
from captioner.errors import CaptionerError, ConfigError
from captioner.index.archive import Archive
from captioner.index.schema import BLOCK, Facts
from captioner.index.writer import IndexWriter
from captioner.io.inputs import Item
from captioner.retrieval.queries import Queries
from tests.tiny import tiny_retriever

CLIPS = {
    "red": ("a red circle moves left", [("circle", 0.9, 1.5)]),
    "blue": ("two blue squares grow", [("square", 0.4, 0.0)]),
    "beach": ("a dog on a beach", [("dog", 0.92, 14.0), ("beach", 0.4, 2.0)]),
    "parrot": ("an animal sits on a branch", [("cockatoo", 0.7, 3.0)]),
}


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_retriever(tmp_path_factory.mktemp("retriever") / "retriever")


@pytest.fixture(scope="module")
def queries(retriever: Path) -> Queries:
    return Queries.load(retriever)


def facts(queries: Queries, **changed: Any) -> Facts:
    return Facts(**{"model": "m", "retriever": queries.fingerprint, "width": 16, "vectors": "clips"} | changed)


def record(path: Path, caption: str, words: list[tuple[str, float, float]], queries: Queries) -> dict[str, Any]:
    """As a run makes it: here the vector of a clip is that of its caption."""
    vector = queries.vector(caption).astype(np.float16).tobytes()
    found = [{"word": word, "probability": p, "peak_seconds": s} for word, p, s in words]
    return {
        "key": hashlib.sha256(path.read_bytes()).hexdigest()[:32],
        "path": str(path),
        "captions": [
            {
                "caption": caption,
                "confidence": 0.5,
                "abstained": False,
                "start_seconds": 0.0,
                "end_seconds": 20.0,
                "alternatives": [{"caption": caption}, {"caption": "a thing in a picture"}],
                "embedding": {"vector": base64.b64encode(vector).decode(), "words": found, "thumbnail": "d2VicA=="},
            }
        ],
    }


def task(path: Path, key: str) -> Task:
    return Task(index=0, item=Item(path=str(path)), key=key)


def put(writer: IndexWriter, path: Path, caption: str, words: list[tuple[str, float, float]], queries: Queries) -> None:
    made = record(path, caption, words, queries)
    if writer.find(made["key"], made["path"]) is None:
        writer.append(made)
    writer.place(Outcome(task=task(path, made["key"])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that stand for clips."""
    (tmp_path / "clips").mkdir()
    for name in CLIPS:
        (tmp_path / "clips" / f"{name}.mp4").write_text(name)
    return tmp_path / "clips"


@pytest.fixture
def index(folder: Path, tmp_path: Path, queries: Queries) -> Path:
    with IndexWriter(tmp_path / "archive.db", facts(queries)) as writer:
        for name, (caption, words) in CLIPS.items():
            put(writer, folder / f"{name}.mp4", caption, words, queries)
    return tmp_path / "archive.db"


def names(index: Path, retriever: Path, query: str, **options: Any) -> list[str]:
    with Archive.open(index, retriever=retriever) as archive:
        return [Path(found.path).stem for found in archive.find(query, **options)]


def test_a_reader_leaves_nothing_beside_the_index_and_takes_nothing_from_a_run(
    index: Path, folder: Path, retriever: Path, queries: Queries
) -> None:
    def beside() -> set[str]:
        return {path.name.removeprefix("archive.db") for path in index.parent.glob("archive.db?*")}

    assert names(index, retriever, "circle") and beside() == set()
    with IndexWriter(index, facts(queries)) as writer:
        assert names(index, retriever, "circle") and beside() == {"-wal", "-shm"}
        (folder / "new.mp4").write_text("new")
        put(writer, folder / "new.mp4", "two green crosses", [], queries)
        assert "new" not in names(index, retriever, "crosses"), "it is not committed yet"
    assert names(index, retriever, "crosses")[0] == "new" and beside() == set()


def test_a_sentence_finds_its_clip_and_says_why(index: Path, retriever: Path) -> None:
    with Archive.open(index, retriever=retriever) as archive:
        best = archive.find("a dog on a beach").found[0]
        assert (Path(best.path).name, best.caption, best.seconds) == ("beach.mp4", "a dog on a beach", 14.0)
        assert [(r.word, round(r.probability or 0, 2), r.seconds) for r in best.reasons] == [
            ("dog", 0.92, 14.0),
            ("beach", 0.4, 2.0),
        ]
        assert best.similarity == pytest.approx(1, abs=1e-2) and best.score > best.similarity
        assert archive.thumbnail(best.row) == b"webp" and len(archive) == len(CLIPS)


def test_each_filter_filters(index: Path, retriever: Path) -> None:
    assert names(index, retriever, '"blue squares"') == ["blue"]
    assert "beach" not in names(index, retriever, "a dog -beach")
    assert "parrot" not in names(index, retriever, "animal -cockatoo"), "it was seen for certain"
    assert "blue" not in names(index, retriever, "circle -square"), "its caption says squares"
    assert "beach" in names(index, retriever, "circle -sand")
    assert names(index, retriever, "circle path:red*") == ["red"]
    assert names(index, retriever, "circle path:nowhere/*") == []
    assert len(names(index, retriever, "circle after:2020")) == 4 and names(index, retriever, "dog after:2199") == []
    assert len(names(index, retriever, "dog", count=2)) == 2
    assert names(index, retriever, "a dog on a beach", least_score=1.05) == ["beach"]


def test_a_broader_noun_finds_a_narrower_one(index: Path, retriever: Path) -> None:
    with Archive.open(index, retriever=retriever) as archive:
        found = {Path(each.path).stem: each for each in archive.find("a bird")}
    assert [reason.word for reason in found["parrot"].reasons] == ["cockatoo"]


def test_unknown_words_are_named_and_found_in_captions(index: Path, retriever: Path) -> None:
    with Archive.open(index, retriever=retriever) as archive:
        results = archive.find("branch")
    assert results.unknown == ("branch",)
    assert "parrot" in [Path(f.path).stem for f in results if f.reasons]


def test_what_looks_alike_is_found_by_row(index: Path, retriever: Path) -> None:
    with Archive.open(index, retriever=retriever) as archive:
        row = archive.find("two blue squares grow").found[0].row
        alike = archive.like(archive.vector(row), without=row)
        assert row not in [found.row for found in alike] and len(alike) == 3
        assert archive.like(archive.vector(row)).found[0].row == row
        with pytest.raises(ConfigError, match="no row @99"):
            archive.vector(99)
        with pytest.raises(ConfigError, match="at least 1"):
            archive.find("dog", count=0)


def test_changed_gone_and_moved_files_are_followed(
    index: Path, folder: Path, retriever: Path, queries: Queries
) -> None:
    (folder / "red.mp4").rename(folder / "scarlet.mp4")
    (folder / "blue.mp4").unlink()
    (folder / "beach.mp4").write_text("another film")
    with IndexWriter(index, facts(queries)) as writer:
        key = hashlib.sha256(b"red").hexdigest()[:32]
        assert writer.find(key, "scarlet.mp4"), "by its content"
        writer.place(Outcome(task=task(folder / "scarlet.mp4", key)))
        put(writer, folder / "beach.mp4", "two green crosses grow", [], queries)
    with Archive.open(index, retriever=retriever) as archive:
        found = {Path(each.path).stem: each.caption for each in archive.find("a circle", count=9)}
        rows = archive.connection.execute("SELECT path, gone FROM files").fetchall()
        [(words,)] = archive.connection.execute("SELECT count(*) FROM words WHERE words MATCH 'dog'").fetchall()
        assert archive.count() == 3 < len(archive), "the row of the file that is gone is kept, and not found"
    assert found == {
        "scarlet": "a red circle moves left",
        "beach": "two green crosses grow",
        "parrot": "an animal sits on a branch",
    }
    assert {(Path(path).stem, bool(gone)) for path, gone in rows} == {
        ("scarlet", False),
        ("blue", True),
        ("beach", False),
        ("parrot", False),
    }
    assert not words, "what the changed file said before is forgotten"


def test_an_object_of_a_store_keeps_its_address_and_is_not_gone(index: Path, retriever: Path, queries: Queries) -> None:
    key = hashlib.sha256(b"red").hexdigest()[:32]
    item = Item(path="s3://bucket/red.mp4")
    for _ in range(2):
        with IndexWriter(index, facts(queries)) as writer:
            writer.place(Outcome(task=Task(index=0, item=item, key=key)))
    with Archive.open(index, retriever=retriever) as archive:
        rows = archive.connection.execute("SELECT gone FROM files WHERE path = 's3://bucket/red.mp4'").fetchall()
    assert rows == [(0,)]


def test_a_failure_is_kept_until_the_file_changes(tmp_path: Path, queries: Queries) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no film")
    key = "00" * 16
    with IndexWriter(tmp_path / "archive.db", facts(queries)) as writer:
        writer.place(Outcome(task=task(bad, key), failure=Failure(code="damaged", message="it is damaged")))
        entry = writer.find(key, str(bad))
        assert entry is not None and entry.failed and writer.read(entry.offset)["code"] == "damaged"
        assert writer.find("11" * 16, str(bad)) is None


def test_one_writes_at_a_time_and_readers_go_on(index: Path, folder: Path, retriever: Path, queries: Queries) -> None:
    with IndexWriter(index, facts(queries)) as writer:
        with pytest.raises(CaptionerError, match="another run is writing"):
            IndexWriter(index, facts(queries))
        put(writer, folder / "red.mp4", "x", [], queries)
        assert "beach" in names(index, retriever, "a dog on a beach")


def test_each_wrong_file_is_one_sentence(index: Path, tmp_path: Path, retriever: Path, queries: Queries) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("this is no database, whatever its name says " * 30)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    for path, said in (
        (text, "not an SQLite file"),
        (other, "another SQLite file"),
        (tmp_path / "none.db", "no index"),
    ):
        with pytest.raises(CaptionerError, match=said):
            Archive.open(path, retriever=retriever)
    with pytest.raises(CaptionerError, match="made with the model m, and this is n"):
        IndexWriter(index, facts(queries, model="n"))
    with pytest.raises(CaptionerError, match="an index of clips"):
        IndexWriter(index, facts(queries, vectors="captions"))
    with sqlite3.connect(index) as connection:
        connection.execute("UPDATE facts SET value = 'another' WHERE name = 'retriever'")
    connection.close()
    with pytest.raises(CaptionerError, match="the retriever another"):
        Archive.open(index, retriever=retriever)
    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(CaptionerError, match="index format 2; this version of captioner reads format 1"):
        Archive.open(index, retriever=retriever)


def test_vectors_of_several_blocks_stand_at_their_places(
    folder: Path, tmp_path: Path, retriever: Path, queries: Queries
) -> None:
    path = tmp_path / "archive.db"
    with IndexWriter(path, facts(queries)) as writer:
        put(writer, folder / "red.mp4", *CLIPS["red"], queries)
        writer._connection.execute("UPDATE moments SET id = ?", (BLOCK,))
        put(writer, folder / "blue.mp4", *CLIPS["blue"], queries)
    with Archive.open(path, retriever=retriever) as archive:
        assert len(archive.vectors) == 2 * BLOCK
        assert archive.find(CLIPS["blue"][0]).found[0].row == BLOCK + 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_a_killed_run_that_is_repeated_has_the_same_rows(folder: Path, tmp_path: Path, queries: Queries) -> None:
    files = [folder / f"{i}.mp4" for i in range(60)]
    for i, path in enumerate(files):
        path.write_text(str(i))

    def run(index: Path, *, last: int) -> None:
        with IndexWriter(index, facts(queries)) as writer:
            for i, path in enumerate(files):
                put(writer, path, f"clip {i}", [("dog", 0.5, float(i))], queries)
                if i == last:
                    os.kill(os.getpid(), signal.SIGKILL)

    def rows(index: Path) -> list[Any]:
        with sqlite3.connect(index) as connection:
            found = connection.execute(
                "SELECT f.path, m.caption, m.seen, m.marks FROM files f JOIN moments m ON m.content = f.content "
                "JOIN words w ON w.rowid = m.id WHERE words MATCH 'clip' ORDER BY f.path"
            ).fetchall()
        connection.close()
        return found

    run(tmp_path / "whole.db", last=-1)
    for last in (*np.random.default_rng(0).integers(0, 59, size=9).tolist(), -1):
        child = os.fork()
        if not child:
            run(tmp_path / "killed.db", last=last)
            os._exit(0)
        os.waitpid(child, 0)
    assert rows(tmp_path / "killed.db") == rows(tmp_path / "whole.db") and len(rows(tmp_path / "whole.db")) == 60
