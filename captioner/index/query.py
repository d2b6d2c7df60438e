"""The little language of queries: words, "exact words", -left out, path:PATTERN and after:DATE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from captioner.errors import ConfigError

_PARTS = re.compile(r'(?P<minus>-?)(?:(?P<key>path|after):)?(?:"(?P<quoted>[^"]*)"?|(?P<plain>[^\s"]+))')
_WORD = re.compile(r"\w", re.UNICODE)
_DATES = ("%Y", "%Y-%m", "%Y-%m-%d")


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for."""

    text: str = ""
    """The words that a clip should fit, exact ones among them."""
    exact: tuple[str, ...] = ()
    """Words that must follow each other in the caption or in another one of the n-best list."""
    without: tuple[str, ...] = ()
    """Words that neither the captions nor the words seen may have."""
    path: str = ""
    """Part of the file's path, or with ``*`` and ``?`` a pattern for it, such as ``holiday/*``."""
    after: str = ""
    """A year, month or day: only files that were last changed then or later."""

    @property
    def after_seconds(self) -> float | None:
        """The beginning of ``after`` here, in seconds since 1970."""
        return _seconds(self.after) if self.after else None

    @property
    def glob(self) -> str:
        """``path`` as a pattern of SQLite: part of a path without wildcards, else from a folder's name to the end."""
        escaped = self.path.replace("[", "[[]")
        if not escaped:
            return "*"
        if not set("*?") & set(escaped):
            return f"*{escaped}*"
        return escaped if escaped.startswith(("/", "*")) else f"*/{escaped}"


def parse(written: str) -> Query:
    """Parse a query; raises ConfigError for a malformed date, and for two paths or dates.

    A quotation mark that nothing closes reaches to the end. What has no letter or digit in it is passed by.
    """
    text: list[str] = []
    exact: list[str] = []
    without: list[str] = []
    named = {"path": "", "after": ""}
    for part in _PARTS.finditer(written):
        quoted = part["quoted"] is not None
        words = " ".join((part["quoted"] if quoted else part["plain"]).split())
        if part["key"] and not part["minus"] and words:
            if named[part["key"]]:
                raise ConfigError(f"the query has {part['key']}: twice, {named[part['key']]!r} and {words!r}; give one")
            named[part["key"]] = words
        elif not _WORD.search(words):
            continue
        elif part["minus"]:
            without.append(words)
        else:
            text.append(words)
            if quoted:
                exact.append(words)
    if named["after"]:
        _seconds(named["after"])
    return Query(text=" ".join(text), exact=tuple(exact), without=tuple(without), **named)


def _seconds(date: str) -> float:
    for form in _DATES:
        try:
            return datetime.strptime(date, form).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
    raise ConfigError(f"after:{date} is not a date; give a year (2024), a month (2024-05) or a day (2024-05-17)")
