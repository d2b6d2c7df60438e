"""How each part of a search scores every clip of an index, for many sentences at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from captioner.index.archive import RERANKED, Archive
from captioner.index.evidence import Row, terms_of
from captioner.index.likelihood import Likelihood
from captioner.index.rows import unpack
from captioner.metrics.text import tokenize

Floats = NDArray[np.float64]


def rows_by_file(archive: Archive) -> dict[tuple[str, float], list[int]]:
    """The rows of each file, by its path and where the part of it begins that was indexed."""
    found: dict[tuple[str, float], list[int]] = {}
    for path, start, row in archive.connection.execute(
        "SELECT f.path, f.start, m.id FROM files f JOIN moments m ON m.content = f.content ORDER BY m.id"
    ):
        found.setdefault((path, start), []).append(row)
    return found


def similarities(archive: Archive, sentences: Sequence[str], rows: NDArray[np.int64]) -> Floats:
    """The retriever's similarities (Q, N) of sentences and rows."""
    queries = np.stack([archive.queries.vector(text) for text in sentences])
    return (queries @ archive.vectors[rows - 1].astype(np.float32).T).astype(np.float64)


def word_shares(archive: Archive, sentences: Sequence[str], rows: NDArray[np.int64]) -> Floats:
    """How far each row has the words of each sentence (Q, N), as :func:`captioner.index.evidence.evidence` says."""
    texts = {number: texts for number, *texts in archive.connection.execute(_TEXTS)}
    stemmed = [
        Row(caption, others, unpack(seen, marks), archive.stems)
        for caption, others, seen, marks in (texts[int(row)] for row in rows)
    ]
    known: dict[str, Floats] = {}
    shares = np.zeros((len(sentences), len(rows)))
    for number, text in enumerate(sentences):
        terms = archive.weighed(terms_of(text, archive.stems))
        for term in terms:
            if term.stem not in known:
                known[term.stem] = np.array([row.has(term)[0] for row in stemmed])
            shares[number] += term.weight * known[term.stem]
        shares[number] /= sum(term.weight for term in terms) or 1.0
    return shares


def likelihoods(
    archive: Archive, likelihood: Likelihood, sentences: Sequence[str], rows: NDArray[np.int64], scores: Floats
) -> Floats:
    """The decoder's likelihood (Q, N) of each sentence for the rows with the best ``RERANKED`` of the scores (Q, N).

    It is so low for the others that they follow. Raises CaptionerError where the index has those of another captioner.
    """
    found = np.full(scores.shape, -1e6)
    for number, text in enumerate(sentences):
        best = np.argsort(-scores[number], kind="stable")[:RERANKED]
        of_row = archive.likelihoods(text, rows[best].tolist(), likelihood)
        found[number, best] = [of_row.get(row, -1e6) for row in rows[best].tolist()]
    return found


_TEXTS = "SELECT id, caption, others, seen, marks FROM moments"


def bm25(
    archive: Archive, sentences: Sequence[str], rows: NDArray[np.int64], *, columns: str = "caption others seen"
) -> Floats:
    """BM25 (Q, N) of all words of a sentence over some columns, by SQLite's FTS5; 0 for a row without any of them."""
    place = {int(row): i for i, row in enumerate(rows)}
    scores = np.zeros((len(sentences), len(rows)))
    for number, text in enumerate(sentences):
        if not (words := tokenize(text)):
            continue
        match = f"{{{columns}}} : (" + " OR ".join('"' + word.replace('"', '""') + '"' for word in words) + ")"
        for row, rank in archive.connection.execute("SELECT rowid, rank FROM words WHERE words MATCH ?", (match,)):
            if row in place:
                scores[number, place[row]] = -rank
    return scores
