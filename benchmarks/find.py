"""How long does a query take in an index of a million rows, and how much memory and disk does it need?

    python benchmarks/find.py [--rows 1000000] [--retriever DIR] [--keep archive.db]

The rows are made up: captions of common words at the frequencies of real ones (Zipf), eight detected words each, unit
vectors of random numbers, no thumbnails. A query is ``Archive.find`` with ten results; the index is open already.
The floors are of wall time: run it on an idle machine. On a busy one look at the processor time of all threads, and at
the best. Exit 1 where a floor is missed: 150 ms a query (median), 1 GB of memory, 1.2 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from captioner.caption.result import DetectedNoun
from captioner.index.archive import Archive
from captioner.index.rows import pack
from captioner.index.schema import BLOCK, Facts, connect, create
from captioner.retrieval.queries import Queries

FLOORS = {"query (median)": 0.150, "memory": 1.0, "disk": 1.2}
QUERIES = (
    "a dog on a beach",
    "two men are playing guitar",
    "a woman is slicing an onion",
    "children run through a field of grass",
    "a red car drives along a road -truck",
    '"a man"',
    "snow",
    "a bird on a branch path:folder7/*",
)
_CHUNK = 4 * BLOCK


def words_of(queries: Queries) -> list[str]:
    """The retriever's words, those of the queries first: the commonest."""
    first = [word for text in QUERIES for word in text.split() if word in queries.words.words]
    return list(dict.fromkeys([*first, *queries.words.words]))


def make(path: Path, queries: Queries, rows: int) -> None:
    """An index of made-up rows, in one transaction a chunk."""
    width = len(queries.vector(""))
    create(path, Facts(model="benchmark", retriever=queries.fingerprint, width=width, vectors="clips"))
    rng, words = np.random.default_rng(0), np.array(words_of(queries))
    chance = 1 / np.arange(1, len(words) + 1)
    chance /= chance.sum()
    connection = connect(path, write=True)
    for first in range(0, rows, _CHUNK):
        numbers = range(first + 1, min(first + _CHUNK, rows) + 1)
        said = rng.choice(words, (len(numbers), 9), p=chance)
        seen = rng.choice(words, (len(numbers), 8), p=chance)
        _add_rows(connection, numbers, said, seen)
        _add_vectors(connection, first, rng.standard_normal((len(numbers), width), dtype=np.float32))
        connection.commit()
        print(f"\r{numbers[-1]:,} rows", end="", file=sys.stderr)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    print(file=sys.stderr)


def _add_rows(connection: sqlite3.Connection, numbers: range, said: np.ndarray, seen: np.ndarray) -> None:
    texts = list(_texts(said, seen))
    connection.executemany("INSERT INTO contents VALUES (?, ?)", ((n, n.to_bytes(16, "big")) for n in numbers))
    connection.executemany(
        "INSERT INTO files (path, start, key, content, modified) VALUES (?, 0, ?, ?, 1.7e9)",
        ((f"/archive/folder{n % 1000}/clip{n}.mp4", n.to_bytes(16, "big"), n) for n in numbers),
    )
    connection.executemany(
        "INSERT INTO moments VALUES (?, ?, 0, 10, ?, 0.5, 0, ?, ?, ?)",
        ((n, n, *text) for n, text in zip(numbers, texts, strict=True)),
    )
    connection.executemany(
        "INSERT INTO words (rowid, caption, others, seen) VALUES (?, ?, ?, ?)",
        ((n, *text[:3]) for n, text in zip(numbers, texts, strict=True)),
    )


def _texts(said: np.ndarray, seen: np.ndarray) -> Iterator[tuple[str, str, str, bytes]]:
    marks = np.linspace(0.9, 0.2, seen.shape[1]).tolist()
    for caption, detected in zip(said.tolist(), seen.tolist(), strict=True):
        sights = [DetectedNoun(noun=w, probability=p, peak_seconds=2.0) for w, p in zip(detected, marks, strict=True)]
        yield " ".join(caption), " ".join(caption[::-1]), *pack(sights)


def _add_vectors(connection: sqlite3.Connection, first: int, numbers: np.ndarray) -> None:
    unit = (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float16)
    whole = np.zeros((-(-len(unit) // BLOCK) * BLOCK, unit.shape[1]), np.float16)
    whole[: len(unit)] = unit
    blocks = whole.reshape(-1, BLOCK, unit.shape[1])
    connection.executemany(
        "INSERT INTO vectors VALUES (?, ?)",
        ((first // BLOCK + i, block.tobytes()) for i, block in enumerate(blocks)),
    )


def resident_gigabytes() -> float:
    """The most memory that this process has held."""
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def measure(path: Path, retriever: str | None, rounds: int) -> dict[str, float]:
    """In a process of its own: seconds and gigabytes."""
    began = time.perf_counter()
    archive = Archive.open(path, retriever=retriever)
    seconds = {"open": time.perf_counter() - began}
    taken: dict[str, list[tuple[float, float]]] = {query: [] for query in QUERIES}
    for _ in range(rounds):
        for query, times in taken.items():
            began, worked = time.perf_counter(), time.process_time()
            archive.find(query)
            times.append((time.perf_counter() - began, time.process_time() - worked))
    for query, times in taken.items():
        (wall, cpu), (best, least) = 1000 * np.median(times, axis=0), 1000 * np.min(times, axis=0)
        print(f"  {wall:7.1f} ms, best {best:7.1f}; processor {cpu:7.1f} ms, best {least:7.1f}  {query}")
    every = np.array([np.median(times, axis=0) for times in taken.values()])
    (wall, cpu), slowest = np.median(every, axis=0), every[:, 0].max()
    least = np.median([np.min(times, axis=0)[1] for times in taken.values()])
    seconds |= {"query (median)": float(wall), "query (slowest)": float(slowest)}
    return seconds | {"processor": float(cpu), "processor (best)": float(least)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--retriever", metavar="DIR", help="default: the one in the package")
    parser.add_argument("--keep", metavar="FILE", help="make the index here, or take the one that is there")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.keep or f"{folder}/archive.db")
        if not path.exists():
            if not (child := os.fork()):  # the memory that making it takes does not count
                make(path, Queries.load(options.retriever), options.rows)
                os._exit(0)
            os.waitpid(child, 0)
        measured = measure(path, options.retriever, options.rounds)
        measured |= {"memory": resident_gigabytes(), "disk": path.stat().st_size / 1e9}
    for name, value in measured.items():
        floor = f"  (floor {FLOORS[name]:g})" if name in FLOORS else ""
        print(f"{name:<16} {value:.3f} {'GB' if name in ('memory', 'disk') else 's'}{floor}")
    return int(any(measured[name] > floor for name, floor in FLOORS.items()))


if __name__ == "__main__":
    sys.exit(main())
