"""A trained captioner as a folder: weights, tokenizer and settings; nothing in it can run code.

    config.json         format number, every setting, the CNN's architecture, what it was trained on, file digests,
                        and (optional) the calibration of its confidence and the detector's words
    model.safetensors   the weights, float16; those of a CNN that comes as a pip package are read from there
    tokenizer.json      the pretrained tokenizer
    vocabulary.json     the pieces the output layer covers

Loading checks the digests, every tensor's name and shape and the vocabulary's size, and refuses what does not
match. Nothing is ever left at random.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.checkpoint.files import WEIGHTS, write_model
from captioner.checkpoint.folder import CheckpointFolder, checked_config
from captioner.checkpoint.hub import located
from captioner.config import to_dict
from captioner.errors import CaptionerError, CheckpointError
from captioner.language.calibration import Calibration
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.tokenizer import CaptionTokenizer
from captioner.model import CaptionModel
from captioner.safe.whole import write_whole
from captioner.video.config import VideoConfig
from captioner.vision.backbones import OWN_FOLDER

DEFAULT = OWN_FOLDER
"""The checkpoint inside the package."""

_FILES = {WEIGHTS, "tokenizer.json", "vocabulary.json"}
_KEYS = {"format", "captioner", "video", "encoder", "cnn", "decoder", "search", "trained_on", "files"}
_CALIBRATION, _FORMS, _ACTIONS = "calibration", "words", "actions"
_OPTIONAL = {_CALIBRATION, _FORMS, _ACTIONS}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a folder holds, loaded and verified."""

    model: CaptionModel
    tokenizer: CaptionTokenizer
    video: VideoConfig
    search: SearchConfig
    trained_on: dict[str, Any]
    calibration: Calibration | None = None
    """None: the confidence of its captions is not calibrated."""
    papers: dict[str, bytes] = field(default_factory=dict)
    """Notices and licences that go with what is made of it."""
    fingerprint: str
    """Twelve hex digits that change with any weight, piece or setting."""


def save_checkpoint(
    folder: str | Path,
    *,
    model: CaptionModel,
    tokenizer: CaptionTokenizer,
    video: VideoConfig,
    search: SearchConfig,
    trained_on: dict[str, Any],
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write a checkpoint to a temporary sibling, then rename it to ``folder`` (replacing what was there).

    ``papers`` are those of the weights that it was made of (:func:`captioner.checkpoint.hub.find_papers`).
    """
    config: dict[str, Any] = {
        "video": to_dict(video),
        "decoder": to_dict(model.decoder.config),
        "search": to_dict(search),
        "trained_on": trained_on,
    }
    if model.detector is not None:
        config[_FORMS] = list(model.detector.forms)
    if model.actions is not None:
        config[_ACTIONS] = list(model.actions.labels)
    write_model(folder, model=model, size=video.size, config=config, add_files=tokenizer.save, papers=papers)


def checkpoint_folder(name: str | Path | None) -> Path:
    """The folder that is meant: None, and ``default`` where no folder here is called so, is the package's own.

    ``user/name`` is one on the hub (see :func:`captioner.checkpoint.hub.located`).
    """
    if name is None or (str(name) == "default" and not Path(name).is_dir()):
        return DEFAULT
    return located(name)


def load_checkpoint(folder: str | Path | None = None) -> Checkpoint:
    """Load a checkpoint (see :func:`checkpoint_folder`) on the CPU, in float32, for inference.

    Raises CheckpointError, naming what is missing or does not match.
    """
    saved = CheckpointFolder.open(checkpoint_folder(folder), keys=_KEYS, optional=_OPTIONAL, files=_FILES)
    tokenizer, decoder = CaptionTokenizer.load(saved.path), saved.settings(DecoderConfig, "decoder")
    names = {"forms": saved.names(_FORMS), "actions": saved.names(_ACTIONS)}
    return Checkpoint(
        model=saved.network(lambda encoder: CaptionModel(encoder, decoder, vocabulary=len(tokenizer), **names)),
        tokenizer=tokenizer,
        video=saved.settings(VideoConfig, "video"),
        search=saved.settings(SearchConfig, "search"),
        trained_on=saved.config["trained_on"],
        calibration=_calibration(saved),
        papers=saved.papers,
        fingerprint=saved.fingerprint,
    )


def write_calibration(folder: str | Path, calibration: Calibration, *, min_confidence: float | None = None) -> None:
    """Put ``calibration`` into the folder's config.json (replacing an earlier one), all at once.

    ``min_confidence``, where given, becomes the checkpoint's own: below it a caption is marked unsure.

    Raises CheckpointError where it was fitted to other weights or cannot be written.
    """
    folder = Path(folder)
    config = read_config(folder) | {_CALIBRATION: to_dict(calibration)}
    if min_confidence is not None:
        config["search"] = config["search"] | {"min_confidence": min_confidence}
    _calibration(CheckpointFolder(folder, config))
    try:
        write_whole(folder / "config.json", json.dumps(config, indent=1) + "\n", overwrite=True)
    except CaptionerError as error:
        raise CheckpointError(str(error)) from error


def read_config(folder: str | Path) -> dict[str, Any]:
    """A checkpoint's config.json, its format and keys checked; cheap (no torch work, no weights)."""
    return checked_config(Path(folder), keys=_KEYS, optional=_OPTIONAL, files=_FILES)


def _calibration(saved: CheckpointFolder) -> Calibration | None:
    if _CALIBRATION not in saved.config:
        return None
    calibration = saved.settings(Calibration, _CALIBRATION)
    if calibration.weights != saved.config["files"][WEIGHTS]:
        raise CheckpointError(
            f"{saved.path / 'config.json'}: the calibration was fitted to other weights; "
            "remove its key, or fit it again with `python -m eval calibrate`"
        )
    return calibration
