"""``python -m eval retrieval``: recall against obvious code, and the command on an index of captions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from captioner.cli import main
from captioner.index.archive import WORDS_WEIGHT, Archive
from eval.__main__ import main as evaluate
from eval.inputs.index import rows_by_file, similarities, word_shares
from eval.scores.retrieval import RetrievalScores
from tests.tiny import tiny_retriever

CAPTIONS = {"a": "a red circle moves left", "b": "two blue squares grow", "c": "a green cross grows"}


def test_recall_is_what_counting_says() -> None:
    rng = np.random.default_rng(0)
    scores, owners = rng.random((12, 4)), np.repeat(np.arange(4), 3)
    measures = RetrievalScores(scores, owners).measures()
    forth = [sorted(row, reverse=True).index(row[own]) for row, own in zip(scores.tolist(), owners, strict=True)]
    back = []
    for clip in range(4):
        order = np.argsort(-scores[:, clip]).tolist()
        back.append(min(order.index(i) for i in range(12) if owners[i] == clip))
    assert measures["text to clip R@1"].score == pytest.approx(np.mean([r < 1 for r in forth]))
    assert measures["text to clip median rank"].score == np.median(forth) + 1
    assert measures["clip to text R@5"].score == pytest.approx(np.mean([r < 5 for r in back]))
    assert measures["clip to text median rank"].score == np.median(back) + 1
    for found in measures.values():
        assert found.low <= found.score <= found.high


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A retriever, an index of three captions, and their manifest."""
    folder = tmp_path_factory.mktemp("eval")
    retriever = tiny_retriever(folder / "retriever")
    lines, rows = [], []
    for name, caption in CAPTIONS.items():
        (folder / f"{name}.mp4").touch()
        rows.append({"id": name, "path": f"{name}.mp4", "split": "test", "captions": [caption, f"there is {caption}"]})
        lines.append(
            {"path": str(folder / f"{name}.mp4"), "caption": caption, "confidence": 0.5, "calibrated": True}
            | {"abstained": False, "score": 0.0, "log_prob": 0.0, "start_seconds": 0.0, "end_seconds": 2.0}
            | {"times_seconds": [], "alternatives": [], "warnings": [], "model": "m"}
        )
    for name, values in (("captions.jsonl", lines), ("manifest.jsonl", rows)):
        (folder / name).write_text("".join(json.dumps(value) + "\n" for value in values))
    index = folder / "archive.db"
    source = str(folder / "captions.jsonl")
    assert main(["index", "--from", source, "-o", str(index), "--retriever", str(retriever), "-q"]) == 0
    return retriever, index, folder / "manifest.jsonl"


def test_every_system_is_scored(
    made: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retriever, index, manifest = made
    out = tmp_path / "figures.json"
    assert evaluate(["retrieval", str(index), str(manifest), "--retriever", str(retriever), "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["BM25, captions"]["text to clip R@1"]["score"] == 1
    said = capsys.readouterr().out
    assert len(figures) == 4 and all(name in said for name in figures)
    assert evaluate(["retrieval", str(index), str(manifest), "--split", "val", "--retriever", str(retriever)]) == 1


def test_the_default_is_what_find_does(made: tuple[Path, Path, Path]) -> None:
    retriever, index, _ = made
    with Archive.open(index, retriever=retriever) as archive:
        files = rows_by_file(archive)
        rows = np.array([found[0] for found in files.values()])
        for text in ("a circle grows", "squares"):
            scores = similarities(archive, [text], rows) + WORDS_WEIGHT * word_shares(archive, [text], rows)
            expected = {int(row): score for row, score in zip(rows, scores[0], strict=True)}
            found = {each.row: each.score for each in archive.find(text)}
            assert found == pytest.approx(expected, abs=2e-3)
