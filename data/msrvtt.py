"""MSR-VTT (Xu et al., 2016): 10,000 web videos in 20 categories, 20 captions each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from captioner.errors import DataError
from captioner.safe.json_text import parse_json
from captioner.safe.text import numbered_lines, read_text
from data.join import Join, Moment, assign, join
from data.sources import find_videos, require_folder, squeeze, texts_in_zip

ANNOTATIONS = ("train_val_videodatainfo.json", "test_videodatainfo.json")
CATEGORIES = "category.txt"
VIDEO_FOLDERS = ("TrainValVideo", "TestVideo", "videos")
SPLITS = {"train": "train", "validate": "val", "test": "test"}


def msrvtt(source: str | Path, *, videos: str | Path | None = None, text_only: bool = False) -> Join:
    """Join an MSR-VTT folder in its 2016 layout: ``{train_val,test}_videodatainfo.json``, plain or inside a zip.

    Videos (``videoN.mp4``) are looked for in ``TrainValVideo/``, ``TestVideo/`` and ``videos/``, unless ``videos``
    names a folder. Categories carry the names of ``category.txt`` (the number where that is missing).
    """
    folder = require_folder(source)
    texts = _find_texts(folder)
    names = read_categories(texts.get(CATEGORIES, ""))
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    categories: dict[str, str] = {}
    moments: dict[str, Moment] = {}
    for name in ANNOTATIONS:
        if name not in texts:
            continue
        content = parse_json(texts[name], name=name)
        try:
            for video in content["videos"]:
                key = str(video["video_id"])
                assign(splits, key, SPLITS[video["split"]])
                categories[key] = names.get(str(video["category"]), str(video["category"]))
                moments[key] = _moment(video)
                captions.setdefault(key, [])
            for sentence in content["sentences"]:
                captions.setdefault(str(sentence["video_id"]), []).append(squeeze(sentence["caption"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{name} is not in the 2016 layout ('videos' with video_id, category, url, start time, end time and "
                f"split; 'sentences' with video_id and caption): {type(error).__name__} {error}"
            ) from error
    files = find_videos(folder, VIDEO_FOLDERS, videos=videos, text_only=text_only)
    return join(captions, splits, files, categories=categories, moments=moments)


def _moment(video: dict[str, Any]) -> Moment:
    start, end = float(video["start time"]), float(video["end time"])
    return Moment(source=str(video["url"]), start_seconds=start, end_seconds=end)


def _find_texts(folder: Path) -> dict[str, str]:
    """The annotation files by base name, plain ones before those inside a zip."""
    wanted = (*ANNOTATIONS, CATEGORIES)
    texts = {name: read_text(folder / name) for name in wanted if (folder / name).is_file()}
    for archive in sorted(folder.glob("*.zip")):
        texts = dict(texts_in_zip(archive, wanted.__contains__)) | texts
    if not any(name in texts for name in ANNOTATIONS):
        raise DataError(f"{folder} holds neither {' nor '.join(ANNOTATIONS)}, plain or inside a .zip")
    return texts


def read_categories(text: str) -> dict[str, str]:
    """Number -> name, from lines ``name<TAB>number``."""
    pairs = (line.rsplit("\t", 1) for _, line in numbered_lines(text))
    return {pair[1].strip(): pair[0].strip() for pair in pairs if len(pair) == 2}
