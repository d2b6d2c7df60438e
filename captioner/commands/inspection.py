"""``captioner probe`` and ``captioner info``: describe a file and a checkpoint."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from captioner.config import to_dict
from captioner.errors import VideoError, about_file


def add_probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="video or image files")


def probe(options: argparse.Namespace) -> int:
    from captioner.video.frames import probe as probe_video

    failures = 0
    for path in options.paths:
        try:
            print(json.dumps({"path": path} | asdict(probe_video(path)), ensure_ascii=False))
        except VideoError as error:
            failures += 1
            print(f"captioner: {about_file(path, str(error))} [{error.code}]", file=sys.stderr)
    return 1 if failures else 0


def add_model(parser: argparse.ArgumentParser) -> None:
    """The checkpoint, as an argument or, as with every command, after -m."""
    about = "checkpoint folder (default: the packaged checkpoint)"
    parser.add_argument("model", nargs="?", default=argparse.SUPPRESS, metavar="DIR", help=about)
    parser.add_argument("-m", "--model", metavar="DIR", help="the same as DIR")


def add_info(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def info(options: argparse.Namespace) -> int:
    from captioner.checkpoint.captioning import checkpoint_folder

    return _show(summarise(checkpoint_folder(options.model)), as_json=options.json)


def summarise(folder: Path) -> dict[str, Any]:
    """What a checkpoint of any task is and was trained on, as plain values. Raises CheckpointError."""
    from captioner.checkpoint.files import is_for

    for task, describe in _TASKS.items():
        if is_for(folder, task):
            return {"task": task} | describe(folder)
    return _of_captions(folder)


def _of_captions(folder: Path) -> dict[str, Any]:
    from captioner.checkpoint.captioning import load_checkpoint
    from captioner.checkpoint.files import tuned_weights
    from captioner.vision.backbones import origin

    loaded = load_checkpoint(folder)
    sections = {name: to_dict(getattr(loaded, name)) for name in ("video", "search")}
    model = loaded.model
    return {
        **_identity(folder, loaded.fingerprint),
        "cnn": model.encoder.cnn_config().get("model_type"),
        "cnn_from": origin(model.encoder.config.source),
        "cnn_weights": sum(p.numel() for p in model.encoder.parameters()),
        "cnn_weights_tuned": tuned_weights(model.encoder),
        "decoder_weights": sum(p.numel() for p in model.decoder.parameters()),
        "vocabulary": len(loaded.tokenizer),
        "encoder": to_dict(model.encoder.config),
        "decoder": to_dict(model.decoder.config),
        **sections,
        "calibration": to_dict(loaded.calibration) if loaded.calibration else "none: its confidence is not calibrated",
        "trained_on": loaded.trained_on,
    }


def _identity(folder: Path, fingerprint: str) -> dict[str, Any]:
    """What every kind of checkpoint has."""
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {"folder": str(folder), "fingerprint": fingerprint, "megabytes": round(size / 1e6, 1)}


def _of_actions(folder: Path) -> dict[str, Any]:
    from captioner.actions.checkpoint import load_recognizer
    from captioner.vision.backbones import origin

    loaded = load_recognizer(folder)
    return {
        **_identity(folder, loaded.fingerprint),
        "cnn_from": origin(loaded.model.encoder.config.source),
        "head_weights": sum(p.numel() for p in loaded.model.head.parameters()),
        "actions": list(loaded.labels),
        "head": to_dict(loaded.model.head.config),
        "video": to_dict(loaded.video),
        "temperature": loaded.temperature,
        "trained_on": loaded.trained_on,
    }


def _of_words(folder: Path) -> dict[str, Any]:
    from captioner.checkpoint.cnn import load_whole
    from captioner.checkpoint.files import tuned_weights
    from captioner.vision.backbones import origin

    tuned, saved = load_whole(folder)
    encoder = tuned.encoder
    return {
        **_identity(folder, saved.fingerprint),
        "cnn_from": origin(encoder.config.source),
        "cnn_weights": sum(p.numel() for p in encoder.parameters()),
        "cnn_weights_tuned": tuned_weights(encoder),
        "words": len(saved.names("words")),
        "actions": saved.names("labels"),
        "video": saved.config["video"],
        "trained_on": saved.config["trained_on"],
    }


def _of_retrieval(folder: Path) -> dict[str, Any]:
    from captioner.retrieval.checkpoint import load_retriever

    loaded = load_retriever(folder)
    return {
        **_identity(folder, loaded.fingerprint),
        "weights": sum(p.numel() for p in loaded.model.parameters()),
        "words": len(loaded.words),
        "retriever": to_dict(loaded.model.config),
        "reads": f"the features of a captioner's CNN, {loaded.reads}",
        "trained_on": loaded.trained_on,
    }


def _of_anomalies(folder: Path) -> dict[str, Any]:
    from captioner.anomalies.checkpoint import load_detector

    loaded = load_detector(folder)
    return {
        **_identity(folder, loaded.fingerprint),
        "weights": sum(p.numel() for p in loaded.detector.parameters()),
        "footage": to_dict(loaded.detector.footage),
        "detector": to_dict(loaded.detector.config),
        "tail": to_dict(loaded.tail),
        "learnt_from": loaded.learnt_from,
    }


_TASKS = {"actions": _of_actions, "words": _of_words, "retrieval": _of_retrieval, "anomalies": _of_anomalies}
"""What describes a checkpoint, by its task; one of captions has no task in it."""


def _show(summary: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(summary, indent=1))
        return 0
    for key, value in summary.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for name, inner in value.items():
                print(f"  {name}: {inner}")
        else:
            print(f"{key}: {value}")
    return 0
