"""Searches an index: by vectors and by words together, by what looks alike, with the reasons."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.errors import CaptionerError, ConfigError
from captioner.index.evidence import Reason, Row, Term, evidence, terms_of, weight_of
from captioner.index.query import Query, parse
from captioner.index.rows import unpack
from captioner.index.schema import GET_FEATURES, Facts, connect, has_features, read_facts
from captioner.index.stems import Stems
from captioner.index.vectors import best, products, read_vectors
from captioner.retrieval.queries import Queries

if TYPE_CHECKING:
    from captioner.index.likelihood import Likelihood

WORDS_WEIGHT = 0.4
"""What the words of a query count beside the similarity of vectors: chosen by ``python -m eval retrieval --weights`` on
the first 150 of Flickr8k's val photos."""
LIKELIHOOD_WEIGHT = 0.2
"""What the decoder's likelihood counts where results are reranked: chosen on Flickr8k's val photos."""
RERANKED = 100
"""Results that are reranked."""
_POOL = 300
"""Rows of each kind, by vectors and by words, that are looked at more closely."""
_COMMON = 10_000
"""A word that more rows have says too little to look these up; the vector knows it."""
_SURELY_SEEN = 0.5


@dataclass(frozen=True, kw_only=True)
class Found:
    """A clip or a shot that was found."""

    row: int
    """Its number in the index; ``like("@row")`` takes it."""
    path: str
    start_seconds: float
    end_seconds: float | None
    caption: str
    confidence: float
    unsure: bool
    score: float
    """The similarity, plus ``WORDS_WEIGHT`` times the share of the query's words that the row has."""
    similarity: float
    """Of the vectors, -1 to 1."""
    reasons: tuple[Reason, ...] = ()
    likelihood: float | None = None
    """Of a reranked result: the mean log-probability of a token of the query, by the decoder."""

    @property
    def order(self) -> float:
        """What results are sorted by: the score, and what a likelihood adds to it."""
        return self.score + LIKELIHOOD_WEIGHT * (self.likelihood or 0.0)

    @property
    def seconds(self) -> float:
        """The moment to show: where a word of the query was detected best, else the start."""
        times = [(r.probability or 0.0, r.seconds) for r in self.reasons if r.seconds is not None]
        return max(times)[1] if times else self.start_seconds


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a query found, best first, and what is to be said of it."""

    found: tuple[Found, ...]
    unknown: tuple[str, ...] = ()
    """Words of the query that the retriever does not know: only captions were searched for them."""

    def __iter__(self) -> Iterator[Found]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def first(self, count: int) -> Results:
        """The best ``count`` of them."""
        return replace(self, found=self.found[:count])


class Archive:
    """An index that is open for searching; any thread may search. Writers are not disturbed.

    >>> for found in Archive.open("archive.db").find("a dog on a beach"):  # doctest: +SKIP
    ...     print(found.path, found.seconds, found.caption)
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, queries: Queries, facts: Facts) -> None:
        self.path, self.facts = path, facts
        self.connection, self.queries, self.stems = connection, queries, Stems()
        self.vectors = read_vectors(connection, facts.width)
        """(N, W) float16: that of row ``n`` at place ``n - 1``."""

    @classmethod
    def open(cls, path: str | Path, *, retriever: str | Path | None = None) -> Archive:
        """Open an index; ``retriever`` is the folder of the one that it was made with, by default the package's.

        Raises CaptionerError for what is no index, and for one of another retriever or a newer format.
        """
        path = Path(path)
        connection = connect(path)
        try:
            queries = Queries.load(retriever)
            facts = read_facts(connection)
            if facts.retriever != queries.fingerprint:
                raise CaptionerError(
                    f"{path} was made with the retriever {facts.retriever}, and this is {queries.fingerprint}; "
                    "give the one that it was made with (--retriever), or index anew with --overwrite"
                )
            return cls(path, connection, queries, facts)
        except BaseException:
            connection.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and of the vectors."""
        self.connection.close()
        self.vectors = self.vectors[:0]

    def __len__(self) -> int:
        """Rows: clips or shots, those of files that are gone too."""
        return int(self._rows("SELECT count(*) FROM moments")[0][0])

    def count(self) -> int:
        """Rows of files that are there: what can be found."""
        query = "SELECT count(*) FROM moments WHERE content IN (SELECT content FROM files WHERE NOT gone)"
        return int(self._rows(query)[0][0])

    def find(self, query: str | Query, *, count: int = 10, least_score: float = -1.0) -> Results:
        """The best ``count`` rows with at least ``least_score``. Raises ConfigError for a malformed query."""
        if isinstance(query, str):
            query = parse(query)
        if count < 1:
            raise ConfigError(f"the number of results is {count}; it must be at least 1")
        terms = self.weighed(terms_of(query.text, self.stems))
        if query.text:
            scores = products(self.vectors, self.queries.vector(query.text))
        else:
            scores = np.zeros(len(self.vectors), np.float32)
        allowed = self._allowed(query)
        found = self._pick(scores, terms, allowed, query, count, least_score)
        return Results(found=found, unknown=self.queries.unknown(query.text) if query.text else ())

    def rerank(self, results: Results, query: str | Query, likelihood: Likelihood) -> Results:
        """The results by score plus ``LIKELIHOOD_WEIGHT`` times the decoder's likelihood of the query.

        Raises what :meth:`likelihoods` raises.
        """
        text = (parse(query) if isinstance(query, str) else query).text
        of_row = self.likelihoods(text, [each.row for each in results], likelihood)
        if not of_row:
            return results
        found = [replace(each, likelihood=of_row[each.row]) for each in results]
        found.sort(key=lambda each: (-each.order, each.row))
        return replace(results, found=tuple(found))

    def likelihoods(self, text: str, rows: Sequence[int], likelihood: Likelihood) -> dict[int, float]:
        """The decoder's likelihood of a text by row; a row without features counts as the least likely.

        Empty for an empty text, and where no row has features. Raises CaptionerError where the index keeps no
        features, or those of another captioner.
        """
        if not has_features(self.connection):
            raise CaptionerError(f"{self.path} keeps no features to rerank by; {GET_FEATURES}")
        if self.facts.model != likelihood.fingerprint:
            raise CaptionerError(
                f"{self.path} was made with the model {self.facts.model}, and this is {likelihood.fingerprint}; "
                "give the one that it was made with (-m)"
            )
        marks = ", ".join("?" * len(rows))
        kept = dict(self._rows(f"SELECT * FROM features WHERE moment IN ({marks})", *rows))
        if not (text and kept):
            return {}
        found = likelihood.of(text, list(kept.values())).tolist()
        return dict.fromkeys(rows, min(found)) | dict(zip(kept, found, strict=True))

    def like(self, vector: np.ndarray, *, count: int = 10, least_score: float = -1.0, without: int = 0) -> Results:
        """The rows whose vectors are most like ``vector`` (W,), but for the row ``without``."""
        allowed = np.ones(len(self.vectors), bool)
        allowed[without - 1 : without] = False
        scores = products(self.vectors, vector)
        return Results(found=self._pick(scores, [], allowed, Query(), count, least_score))

    def vector(self, row: int) -> np.ndarray:
        """The vector (W,) of a row. Raises ConfigError for a number without a row."""
        if not self._rows("SELECT 1 FROM moments WHERE id = ?", row):
            raise ConfigError(f"{self.path} has no row @{row}; rows are numbered as captioner find -f jsonl shows them")
        vector: np.ndarray = self.vectors[row - 1].astype(np.float32)
        return vector

    def thumbnail(self, row: int) -> bytes:
        """The row's picture as WebP; empty where the index has none."""
        found = self._rows("SELECT webp FROM thumbnails WHERE moment = ?", row)
        return bytes(found[0][0]) if found else b""

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self.connection.execute(query, values).fetchall()

    def weighed(self, terms: Sequence[Term]) -> list[Term]:
        rows = len(self)
        having = [self._having(term) for term in terms]
        return [replace(t, weight=weight_of(rows, n), rows=n) for t, n in zip(terms, having, strict=True)]

    def _having(self, term: Term) -> int:
        """How many rows have a term, at most ``_COMMON`` and one."""
        query = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
        return int(self._rows(query, _quoted(term.word), _COMMON + 1)[0][0])

    def _allowed(self, query: Query) -> np.ndarray | None:
        """Which rows the exact words, those left out, the path and the date allow (N,); None: all."""
        allowed: np.ndarray | None = None
        for words in query.exact:
            allowed = self._both(
                allowed, "SELECT rowid FROM words WHERE words MATCH ?", f"{{caption others}} : {_quoted(words)}"
            )
        if query.path or query.after:
            allowed = self._both(
                allowed,
                "SELECT m.id FROM moments m JOIN files f ON f.content = m.content "
                "WHERE NOT f.gone AND f.path GLOB ? AND f.modified >= ?",
                query.glob,
                query.after_seconds or 0.0,
            )
        for words in query.without:
            if allowed is None:
                allowed = np.ones(len(self.vectors), bool)
            for (row,) in self._rows("SELECT rowid FROM words WHERE words MATCH ?", f"caption : {_quoted(words)}"):
                allowed[row - 1] = False
        return allowed

    def _both(self, allowed: np.ndarray | None, query: str, *values: object) -> np.ndarray:
        here = np.zeros(len(self.vectors), bool)
        here[[row - 1 for (row,) in self._rows(query, *values)]] = True
        return here if allowed is None else allowed & here

    def _pick(
        self,
        scores: np.ndarray,
        terms: Sequence[Term],
        allowed: np.ndarray | None,
        query: Query,
        count: int,
        least_score: float,
    ) -> tuple[Found, ...]:
        """The best ``count`` rows with their evidence; more are looked at until there are so many or no more."""
        if allowed is not None:
            scores = np.where(allowed, scores, -np.inf).astype(np.float32)
        pool = max(_POOL, 3 * count)
        while True:
            near = best(scores, pool)
            rows = {int(place) + 1 for place in near if np.isfinite(scores[place])}
            rows |= {row for row in self._with_words(terms, pool) if allowed is None or allowed[row - 1]}
            found = self._told(sorted(rows), scores, terms, query)
            if len(found) >= count or pool >= len(scores):
                found.sort(key=lambda row: (-row.score, row.row))
                return tuple(row for row in found if row.score >= least_score)[:count]
            pool *= 8

    def _with_words(self, terms: Sequence[Term], count: int) -> list[int]:
        """The rows that have most of the rarer terms, by BM25 over captions, other sentences and words seen."""
        rare = [term for term in terms if term.rows <= _COMMON]
        if not rare:
            return []
        match = " OR ".join(_quoted(word) for term in rare for word in (term.word, *term.narrower))
        query = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        return [row for (row,) in self._rows(query, match, count)]

    def _told(self, rows: Sequence[int], scores: np.ndarray, terms: Sequence[Term], query: Query) -> list[Found]:
        marks = ", ".join("?" * len(rows))
        left_out = set(self.stems.of(query.without))
        found = []
        for row, path, start, stop, caption, confidence, unsure, others, seen, packed in self._rows(
            "SELECT m.id, min(f.path), m.start, m.stop, m.caption, m.confidence, m.unsure, m.others, m.seen, m.marks "
            f"FROM moments m JOIN files f ON f.content = m.content WHERE NOT f.gone AND m.id IN ({marks}) "
            "AND f.path GLOB ? GROUP BY m.id",
            *rows,
            query.glob,
        ):
            stemmed = Row(caption, others, unpack(seen, packed), self.stems)
            if any(stem in left_out and sight.probability >= _SURELY_SEEN for stem, sight in stemmed.seen.items()):
                continue
            share, reasons = evidence(terms, stemmed)
            similarity = float(scores[row - 1])
            found.append(
                Found(
                    row=row,
                    path=path,
                    start_seconds=start,
                    end_seconds=stop,
                    caption=caption,
                    confidence=confidence,
                    unsure=bool(unsure),
                    score=similarity + WORDS_WEIGHT * share,
                    similarity=similarity,
                    reasons=reasons,
                )
            )
        return found


def _quoted(words: str) -> str:
    """Words as a phrase of FTS5, quoted."""
    return '"' + words.replace('"', '""') + '"'
