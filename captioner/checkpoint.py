"""A trained captioner as one folder: everything it takes to caption, and nothing that can run code.

    config.json         format number, every setting, the CNN's architecture, what it was trained on, file digests,
                        and (optional) the calibration of its confidence
    model.safetensors   the weights, float16; those of a CNN that comes as a pip package are read from there
    tokenizer.json      the pretrained tokenizer
    vocabulary.json     the pieces the output layer covers

Loading checks the digests, every tensor's name and shape and the vocabulary's size, and refuses what does not
match. Nothing is ever left at random.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from captioner import __version__
from captioner.config import from_dict, to_dict
from captioner.errors import CaptionerError, CheckpointError
from captioner.language.calibration import Calibration
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.tokenizer import CaptionTokenizer
from captioner.model import CaptionModel
from captioner.video.config import VideoConfig
from captioner.vision.backbones import PACKAGED, packaged_weights
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder

FORMAT = 1
DEFAULT = Path(__file__).parent / "default"
"""The checkpoint inside the package."""

_WEIGHTS = "model.safetensors"
_FILES = (_WEIGHTS, "tokenizer.json", "vocabulary.json")
_KEYS = {"format", "captioner", "video", "encoder", "cnn", "decoder", "search", "trained_on", "files"}
_CALIBRATION = "calibration"  # the one key that may be absent


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
) -> None:
    """Write a checkpoint to a temporary sibling, then rename it to ``folder`` (replacing what was there)."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        source = _package(model.encoder)
        save_file(_half(model, without="encoder.cnn." if source else None), temporary / _WEIGHTS)
        tokenizer.save(temporary)
        config = {
            "format": FORMAT,
            "captioner": __version__,
            "video": to_dict(video),
            "encoder": to_dict(model.encoder.config) | {"source": source, "weights": "pretrained"},
            "cnn": model.encoder.cnn_config(size=video.size),
            "decoder": to_dict(model.decoder.config),
            "search": to_dict(search),
            "trained_on": trained_on,
            "files": {name: _digest(temporary / name) for name in _FILES},
        }
        (temporary / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        _swap(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def checkpoint_folder(name: str | Path | None) -> Path:
    """The folder that is meant: None, and ``default`` where no folder here is called so, is the package's own."""
    if name is None or (str(name) == "default" and not Path(name).is_dir()):
        return DEFAULT
    return Path(name)


def load_checkpoint(folder: str | Path | None = None) -> Checkpoint:
    """Load a checkpoint (see :func:`checkpoint_folder`) on the CPU, in float32, for inference.

    Raises CheckpointError, naming what is missing or does not match.
    """
    folder = checkpoint_folder(folder)
    config = read_config(folder)
    for name, digest in config["files"].items():
        if not (folder / name).is_file():
            raise CheckpointError(f"the checkpoint {folder} lacks {name}")
        if _digest(folder / name) != digest:
            raise CheckpointError(f"{folder / name} is damaged or changed: its digest is not the one in config.json")
    tokenizer = CaptionTokenizer.load(folder)
    encoder_config = _section(EncoderConfig, config, "encoder", folder)
    encoder = FrameEncoder.from_cnn_config(config["cnn"], encoder_config)
    with torch.device("meta"), _Undrawn():
        decoder_config = _section(DecoderConfig, config, "decoder", folder)
        model = CaptionModel(encoder, decoder_config, vocabulary=len(tokenizer))
    _fill(model, folder / _WEIGHTS, package=encoder_config.source)
    return Checkpoint(
        model=model.eval(),
        tokenizer=tokenizer,
        video=_section(VideoConfig, config, "video", folder),
        search=_section(SearchConfig, config, "search", folder),
        trained_on=config["trained_on"],
        calibration=_calibration(config, folder),
        fingerprint=_digest(folder / "config.json")[:12],
    )


def write_calibration(folder: str | Path, calibration: Calibration) -> None:
    """Put ``calibration`` into the folder's config.json (replacing an earlier one), all at once.

    Raises CheckpointError where it was fitted to other weights or cannot be written.
    """
    folder = Path(folder)
    config = read_config(folder) | {_CALIBRATION: to_dict(calibration)}
    _calibration(config, folder)
    temporary = folder / f".config.json.{os.getpid()}.tmp"
    try:
        temporary.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        temporary.replace(folder / "config.json")
    except OSError as error:
        raise CheckpointError(f"cannot write {folder / 'config.json'}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_config(folder: str | Path) -> dict[str, Any]:
    """A checkpoint's config.json, its format and keys checked; cheap (no torch work, no weights)."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint folder {folder}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is not a checkpoint: it has no config.json") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {folder / 'config.json'}: {error}") from error
    if not isinstance(config, dict) or "format" not in config:
        raise CheckpointError(f"{folder} is not a captioner checkpoint: its config.json has no format number")
    if config["format"] != FORMAT:
        raise CheckpointError(
            f"{folder} has checkpoint format {config['format']}; this version of captioner reads format {FORMAT}"
        )
    keys = set(config) - {_CALIBRATION}
    if keys != _KEYS or set(config["files"]) != set(_FILES):
        odd = sorted(keys ^ _KEYS) or sorted(set(config["files"]) ^ set(_FILES))
        raise CheckpointError(f"{folder / 'config.json'} does not match format {FORMAT}: see {', '.join(odd)}")
    return config


def _calibration(config: dict[str, Any], folder: Path) -> Calibration | None:
    if _CALIBRATION not in config:
        return None
    calibration: Calibration = _section(Calibration, config, _CALIBRATION, folder)
    if calibration.weights != config["files"][_WEIGHTS]:
        raise CheckpointError(
            f"{folder / 'config.json'}: the calibration was fitted to other weights; "
            "remove its key, or fit it again with `python -m eval calibrate`"
        )
    return calibration


def _section(cls: Any, config: dict[str, Any], key: str, folder: Path) -> Any:
    try:
        return from_dict(cls, config[key], where=key)
    except CaptionerError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error


class _Undrawn(TorchFunctionMode):
    """Leaves out the random numbers that a model starts with: on the meta device there is nowhere to put them, and
    torch would import its compiler for them, which takes two seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        return options["tensor"] if func is torch.nn.init.normal_ else func(*args, **options)


def _package(encoder: FrameEncoder) -> str:
    """The source that the encoder's CNN comes from and still equals, if that is a pip package; otherwise empty."""
    source = encoder.config.source
    if source not in PACKAGED:
        return ""
    own = encoder.cnn.state_dict()
    same = all(torch.equal(own[name].cpu(), tensor) for name, tensor in packaged_weights(source).items())
    return source if same else ""


def _fill(model: CaptionModel, file: Path, *, package: str) -> None:
    """Load every weight of ``model`` from ``file`` (the CNN's from ``package``, if it names one).

    The names and shapes must be exactly the same.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"cannot read {file}: {error}") from error
    if package:
        weights |= {f"encoder.cnn.{name}": tensor for name, tensor in packaged_weights(package).items()}
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if expected != found:
        names = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
        first = names[0]
        raise CheckpointError(
            f"{file} does not match its config.json in {len(names)} tensors, first {first}: "
            f"expected {expected.get(first, 'nothing')}, found {found.get(first, 'nothing')}"
        )
    full = {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}
    model.load_state_dict(full, assign=True)
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


def _half(model: CaptionModel, *, without: str | None) -> dict[str, torch.Tensor]:
    """The weights in float16, but for those whose names begin with ``without``."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if without and name.startswith(without):
            continue
        half = tensor.detach().to("cpu", torch.float16 if tensor.is_floating_point() else tensor.dtype)
        if half.is_floating_point() and not half.isfinite().all():
            raise CheckpointError(f"the weights {name} are not finite in float16; the training has diverged")
        weights[name] = half.contiguous()
    return weights


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _swap(new: Path, folder: Path) -> None:
    """Put ``new`` where ``folder`` is. What was there is only deleted once the new one is in place."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
