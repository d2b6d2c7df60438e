"""Stems of words by the very tokenizer of the index: SQLite's, which needs no import that takes a second."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable


class Stems:
    """Knows the stem (Porter 1980) of every word that it was asked for; any thread may ask."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._turn = threading.Lock()
        self._memory = sqlite3.connect(":memory:", check_same_thread=False)
        self._memory.executescript(
            "CREATE VIRTUAL TABLE words USING fts5 (word, tokenize='porter unicode61');"
            "CREATE VIRTUAL TABLE stems USING fts5vocab (words, instance);"
        )

    def of(self, words: Iterable[str]) -> list[str]:
        """Each word's stem; of one that is several ("fire truck") or none, the stems with spaces between them."""
        words = list(words)
        with self._turn:
            if missing := list(dict.fromkeys(word for word in words if word not in self._known)):
                self._learn(missing)
        return [self._known[word] for word in words]

    def _learn(self, words: list[str]) -> None:
        self._memory.execute("DELETE FROM words")
        self._memory.executemany("INSERT INTO words (rowid, word) VALUES (?, ?)", enumerate(words))
        parts: dict[int, list[tuple[int, str]]] = {}
        for number, place, stem in self._memory.execute('SELECT doc, "offset", term FROM stems'):
            parts.setdefault(number, []).append((place, stem))
        for number, word in enumerate(words):
            self._known[word] = " ".join(stem for _, stem in sorted(parts.get(number, [])))
