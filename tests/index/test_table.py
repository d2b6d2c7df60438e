"""The rows of an index as Parquet: DuckDB finds what captioner finds."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import pytest

from captioner.cli import main
from captioner.index.archive import Archive
from captioner.index.writer import IndexWriter
from captioner.retrieval.queries import Queries
from tests.index.test_index import CLIPS, facts, put
from tests.prose import ROOT
from tests.tiny import tiny_retriever


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_retriever(tmp_path_factory.mktemp("retriever") / "retriever")


@pytest.fixture
def index(tmp_path: Path, retriever: Path) -> Path:
    queries = Queries.load(retriever)
    with IndexWriter(tmp_path / "archive.db", facts(queries)) as writer:
        for name, (caption, words) in CLIPS.items():
            (tmp_path / f"{name}.mp4").write_text(name)
            put(writer, tmp_path / f"{name}.mp4", caption, words, queries)
    return tmp_path / "archive.db"


def test_the_query_of_the_docs_finds_what_captioner_finds(
    index: Path, retriever: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(index.parent)
    assert main(["index", "-o", "archive.db", "--parquet", "archive.parquet"]) == 0
    page = (ROOT / "docs" / "howto" / "find.md").read_text(encoding="utf-8")
    [query] = re.findall(r"duckdb\.sql\(\"\"\"(.+?)\"\"\"", page, re.S)
    vector = Queries.load(retriever).vector("a dog on a beach")
    found = duckdb.sql(query.replace(">>>", "").replace("...", ""), params=[vector.tolist()]).fetchall()
    with Archive.open(index, retriever=retriever) as archive:
        rows = archive.like(vector, count=10).found
    assert [(path, caption) for path, caption, _ in found] == [(row.path, row.caption) for row in rows]
    assert [score for *_, score in found] == pytest.approx([row.similarity for row in rows], abs=1e-3)


def test_a_row_has_what_the_index_has(index: Path, retriever: Path) -> None:
    target = index.with_suffix(".parquet")
    (index.parent / "red.mp4").unlink()
    with IndexWriter(index, facts(Queries.load(retriever))):
        pass  # which marks what is gone
    assert main(["index", "-o", str(index), "--parquet", str(target)]) == 0
    rows = duckdb.sql(f"SELECT row, path, caption, words, vector, alternatives FROM '{target}' ORDER BY row").fetchall()
    assert [(row, Path(path).stem) for row, path, *_ in rows] == [(2, "blue"), (3, "beach"), (4, "parrot")]
    _, _, caption, words, vector, alternatives = rows[1]
    assert caption == "a dog on a beach" and alternatives == ["a thing in a picture"]
    assert words[0] == {"word": "dog", "probability": pytest.approx(0.92, abs=1e-3), "peak_seconds": 14.0}
    with Archive.open(index, retriever=retriever) as archive:
        assert np.array_equal(np.array(vector, np.float32), archive.vector(3))


def test_mistakes_are_one_line(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = index.read_bytes()
    for target, said in ((index, "exists"), (index.parent / "gone" / "a.parquet", "No such file")):
        assert main(["index", "-o", str(index), "--parquet", str(target)]) == 1
        assert said in (err := capsys.readouterr().err) and err.count("\n") == 1
    assert main(["index", "-o", str(index), "--parquet", str(index), "--overwrite"]) == 1
    assert "would destroy the index" in capsys.readouterr().err
    assert main(["index", "-o", str(index) + "x", "--parquet", "a.parquet"]) == 1
    assert "there is no index" in capsys.readouterr().err and index.read_bytes() == before
