"""What MkDocs is told beside mkdocs.yml: folders in the navigation, and that no page may fetch anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

REMOTE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//", re.IGNORECASE)


def on_config(config: Any) -> None:
    """A folder in the navigation stands for its pages: the index first, then by name; the notebook newest first."""
    config.nav = [_expanded(entry, Path(config.docs_dir)) for entry in config.nav]


def on_post_page(output: str, *, page: Any, config: Any) -> None:
    """Raises PluginError for a script, a style sheet or a picture from elsewhere: the site works offline."""
    if found := REMOTE.search(output):
        raise PluginError(f"{page.file.src_uri} fetches {found.group(0)[:200]}; every asset must be local")


def _expanded(entry: Any, docs: Path) -> Any:
    if isinstance(entry, str):
        return entry
    ((title, value),) = entry.items()
    if isinstance(value, list):
        return {title: [_expanded(each, docs) for each in value]}
    if not value.endswith("/"):
        return entry
    pages = sorted((docs / value).glob("[!R]*.md"), reverse=value == "notebook/")
    names = [f"{value}{page.name}" for page in pages]
    return {title: [f"{value}README.md"] * (docs / value / "README.md").exists() + names}
