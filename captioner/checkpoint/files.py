"""Reads and writes checkpoint folders: config.json, model.safetensors and a task's own files.

Loading checks the digests, every tensor's name and shape, and refuses what does not match. Nothing is ever left at
random. What a CNN has unchanged from a pip package is not copied: it is read from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from captioner import __version__
from captioner.config import from_dict, to_dict
from captioner.errors import CaptionerError, CheckpointError, DataError
from captioner.io.model_folder import CNN, CONFIG, WEIGHTS
from captioner.safe.json_text import read_settings
from captioner.safe.whole import check_folder, whole_folder
from captioner.vision.backbones import is_packaged, packaged_weights
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder

M = TypeVar("M", bound=nn.Module)

FORMAT = 1


def write_model(
    folder: str | Path,
    *,
    model: nn.Module,
    size: int,
    config: dict[str, Any],
    add_files: Callable[[Path], None] = lambda folder: None,
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write the folder of a model that has its CNN in ``encoder``, which is recorded for frames of ``size`` pixels."""
    encoder: Any = model.encoder
    shared = _of_package(encoder)
    cnn = {
        "encoder": to_dict(encoder.config)
        | {"source": encoder.config.source if shared else "", "weights": "pretrained"},
        "cnn": encoder.cnn_config(size=size),
    }
    write_folder(
        folder,
        weights=half(model, without=frozenset(f"{CNN}{name}" for name in shared)),
        config=cnn | config,
        add_files=add_files,
        papers=papers,
    )


def write_folder(
    folder: str | Path,
    *,
    weights: dict[str, torch.Tensor],
    config: dict[str, Any],
    add_files: Callable[[Path], None] = lambda folder: None,
    papers: Mapping[str, bytes] = {},
) -> None:
    """Write a folder to a temporary sibling, then rename it to ``folder``.

    It takes the place of a checkpoint that is there (commands ask :func:`check_output` first); other files in it, such
    as a README.md, stay.

    ``add_files`` writes what there is beside the weights; ``papers``
    (:func:`captioner.checkpoint.hub.find_papers`) come to it.
    ``config`` is completed by the format, the version and the files' digests.
    """
    from safetensors.torch import save_file

    with whole_folder(folder, overwrite=True, ours=own_files) as temporary:
        save_file(weights, temporary / WEIGHTS)
        add_files(temporary)
        digests = {path.name: digest(path) for path in sorted(temporary.iterdir())}
        whole = {"format": FORMAT, "captioner": __version__} | config | {"files": digests}
        (temporary / CONFIG).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        for name, content in papers.items():
            (temporary / name).write_bytes(content)


def own_files(folder: Path) -> set[str]:
    """The names of what a checkpoint folder consists of; papers are left out, for people add theirs."""
    return {CONFIG, *_peek(folder).get("files", ())}


def is_ours(folder: Path) -> bool:
    """Whether a folder holds a checkpoint of any task, or an export."""
    return bool(_peek(folder).keys() & {"captioner", "runtime"})


def check_output(folder: Path, *, overwrite: bool, inputs: Sequence[str | Path] = ()) -> None:
    """Raise CaptionerError unless a command may write a checkpoint there (:func:`captioner.safe.whole.check_folder`).

    One of its ``inputs`` it may not replace.
    """
    for source in inputs:
        if folder.exists() and Path(source).exists() and folder.samefile(source):
            raise CaptionerError(f"writing {folder} would destroy the input {source}; give another output")
    check_folder(folder, overwrite=overwrite, ours=is_ours)


def _peek(folder: Path) -> dict[str, Any]:
    """The config.json of any folder; empty without one."""
    try:
        return read_settings(folder / CONFIG)
    except DataError:
        return {}


def read_folder(
    folder: Path, *, keys: set[str], files: set[str], optional: set[str] | None = None, task: str = "captions"
) -> dict[str, Any]:
    """The config.json of a folder, its format, task and keys checked; cheap (no torch work, no weights).

    Captions, the first task, are the one that has no name in it. Raises CheckpointError.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint folder {folder}")
    if not (folder / CONFIG).exists():
        raise CheckpointError(f"{folder} is not a checkpoint: it has no config.json")
    config = read_settings(folder / CONFIG, error=CheckpointError)
    if "format" not in config:
        raise CheckpointError(f"{folder} is not a captioner checkpoint: its config.json has no format number")
    if config["format"] is True or config["format"] != FORMAT:
        raise CheckpointError(
            f"{folder} has checkpoint format {config['format']!r}; this version of captioner reads format {FORMAT}, "
            "a whole number"
        )
    if "task" not in config and "task" in keys:
        if "decoder" in config:
            raise CheckpointError(f"{folder} is a checkpoint for captions, not for {task}")
        raise CheckpointError(f"{folder} is no checkpoint for {task}: its config.json names no task")
    if (found := config.get("task", "captions")) != task:
        raise CheckpointError(f"{folder} is a checkpoint for {found}, not for {task}")
    optional = optional or set()
    listed = config.get("files")
    if not isinstance(listed, dict):
        raise CheckpointError(f"{folder / 'config.json'} does not match format {FORMAT}: see files")
    if set(config) - optional != keys or set(listed) != files:
        odd = sorted((set(config) - optional) ^ keys) or sorted(set(listed) ^ files)
        raise CheckpointError(f"{folder / 'config.json'} does not match format {FORMAT}: see {', '.join(odd)}")
    return config


def is_for(folder: Path, task: str) -> bool:
    """Whether a folder is a checkpoint of this task; captions, the first, have no name in it."""
    return bool(_peek(folder).get("task") == task)


def check_files(folder: Path, config: dict[str, Any]) -> None:
    """Raise CheckpointError unless every file is there and has the digest in ``config``."""
    for name, expected in config["files"].items():
        if not (folder / name).is_file():
            raise CheckpointError(f"the checkpoint {folder} lacks {name}")
        if digest(folder / name) != expected:
            raise CheckpointError(f"{folder / name} is damaged or changed: its digest is not the one in config.json")


def section(cls: Any, config: dict[str, Any], key: str, folder: Path) -> Any:
    """The settings of one key of a config; raises CheckpointError."""
    try:
        return from_dict(cls, config[key], where=key)
    except CaptionerError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error


def load_network(folder: Path, config: dict[str, Any], make: Callable[[FrameEncoder], M]) -> M:
    """The network that ``make`` puts on the folder's encoder, with the folder's weights, on the CPU, in eval mode.

    Raises CheckpointError.
    """
    settings = section(EncoderConfig, config, "encoder", folder)
    encoder = FrameEncoder.from_cnn_config(config["cnn"], settings)
    return filled(lambda: make(encoder), folder / WEIGHTS, package=settings.source)


def filled(make: Callable[[], M], file: Path, *, package: str = "") -> M:
    """The network that ``make`` makes, with the weights in ``file`` (see :func:`load_weights`), in eval mode."""
    with torch.device("meta"), _Undrawn():
        model = make()
    load_weights(model, file, package=package)
    return model.eval()


class _Undrawn(TorchFunctionMode):
    """Leaves out the random numbers that a model starts with: on the meta device there is nowhere to put them, and
    torch would import its compiler for them, which takes two seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        return options["tensor"] if func is torch.nn.init.normal_ else func(*args, **options)


def tuned_weights(encoder: FrameEncoder) -> int:
    """How many of the CNN's weights are not those of the pip package that it comes from; all without one."""
    shared = set(_of_package(encoder))
    return sum(p.numel() for name, p in encoder.cnn.named_parameters() if name not in shared)


def _of_package(encoder: FrameEncoder) -> list[str]:
    """The weights that the encoder's CNN has unchanged from the pip package that it comes from; none without one."""
    source = encoder.config.source
    if not is_packaged(source):
        return []
    own = encoder.cnn.state_dict()
    return [name for name, tensor in packaged_weights(source).items() if torch.equal(own[name].cpu(), tensor)]


def load_weights(model: nn.Module, file: Path, *, package: str = "") -> None:
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
        weights = {f"{CNN}{name}": t.clone() for name, t in packaged_weights(package).items()} | weights
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


def half(model: nn.Module, *, without: frozenset[str] = frozenset()) -> dict[str, torch.Tensor]:
    """The weights in float16, but for those named in ``without``."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if name in without:
            continue
        half = tensor.detach().to("cpu", torch.float16 if tensor.is_floating_point() else tensor.dtype)
        if half.is_floating_point() and not half.isfinite().all():
            raise CheckpointError(f"the weights {name} are not finite in float16; the training has diverged")
        weights[name] = half.contiguous()
    return weights


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
