"""Captions without clips, from any collection: text that the decoder can learn the language from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.errors import DataError
from captioner.manifest import Clip
from captioner.safe.json_text import read_json
from data.join import Join
from data.sources import numbered_lines, squeeze


def captions(files: Sequence[str | Path]) -> Join:
    """Text files (one caption a line) and COCO caption files (``.json`` with ``annotations``) as a text manifest.

    All of it is ``train``: give no captions of clips that you will validate or test on.
    """
    texts: dict[str, list[str]] = {}
    for path in map(Path, files):
        found = _read_coco(path) if path.suffix.lower() == ".json" else _read_lines(path)
        if not found:
            raise DataError(f"{path} holds no captions")
        if twice := texts.keys() & found.keys():
            raise DataError(f"{path}: the id {min(twice)!r} came from an earlier file; rename one of the two files")
        texts |= found
    return Join(
        clips=(),
        text=tuple(Clip(id=name, path=None, split="train", captions=tuple(lines)) for name, lines in texts.items()),
    )


def _read_lines(path: Path) -> dict[str, list[str]]:
    return {f"{path.stem}:{number}": [squeeze(line)] for number, line in numbered_lines(path)}


def _read_coco(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    content = read_json(path)
    try:
        for annotation in content["annotations"]:
            if caption := squeeze(annotation["caption"]):
                found.setdefault(f"{path.stem}:{annotation['image_id']}", []).append(caption)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a COCO caption file ('annotations' with image_id and caption)") from error
    return found
