"""A checkpoint folder, checked: what every kind of checkpoint is loaded from.

Loading checks the digests, every tensor's name and shape, and refuses what does not match. Nothing is ever left at
random. The weights that a CNN has unchanged from a pip package are read from there.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from captioner.checkpoint.files import FORMAT, digest
from captioner.checkpoint.hub import find_papers
from captioner.config import from_dict
from captioner.errors import CaptionerError, CheckpointError
from captioner.io.model_folder import CNN, CONFIG, WEIGHTS
from captioner.safe.json_text import read_settings
from captioner.vision.backbones import packaged_weights
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")


@dataclass(frozen=True)
class CheckpointFolder:
    """A folder whose config.json and files are checked."""

    path: Path
    config: dict[str, Any]

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        keys: Set[str],
        files: Set[str] = frozenset({WEIGHTS}),
        optional: Set[str] = frozenset(),
        task: str = "captions",
    ) -> CheckpointFolder:
        """Check config.json (:func:`checked_config`), and that every file has the digest that it says.

        Raises CheckpointError.
        """
        config = checked_config(path, keys=keys, files=files, optional=optional, task=task)
        for name, expected in config["files"].items():
            if not (path / name).is_file():
                raise CheckpointError(f"the checkpoint {path} lacks {name}")
            if digest(path / name) != expected:
                raise CheckpointError(f"{path / name} is damaged or changed: its digest is not the one in config.json")
        return cls(path, config)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change with any weight, piece or setting."""
        return digest(self.path / CONFIG)[:12]

    @property
    def papers(self) -> dict[str, bytes]:
        """Notices and licences that go with what is made of it."""
        return find_papers(self.path)

    def settings(self, cls: type[T], key: str) -> T:
        """The settings under one key. Raises CheckpointError."""
        try:
            return from_dict(cls, self.config[key], where=key)
        except CaptionerError as error:
            raise CheckpointError(f"{self.path / CONFIG}: {error}") from error

    def names(self, key: str) -> tuple[str, ...]:
        """The names under one key; none where it is absent. Raises CheckpointError."""
        names = self.config.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CheckpointError(f"{self.path / CONFIG}: {key} must be a list of names")
        return tuple(names)

    def network(self, make: Callable[[FrameEncoder], M]) -> M:
        """The network that ``make`` puts on the folder's encoder (see :meth:`weighted`)."""
        settings = self.settings(EncoderConfig, "encoder")
        encoder = FrameEncoder.from_cnn_config(self.config["cnn"], settings)
        return self.weighted(lambda: make(encoder), package=settings.source)

    def weighted(self, make: Callable[[], M], *, package: str = "") -> M:
        """The network that ``make`` makes, with the folder's weights, on the CPU, in eval mode.

        The CNN's are read from ``package``, if it names one. Raises CheckpointError.
        """
        with torch.device("meta"), _Undrawn():
            model = make()
        return self.fill(model, package=package)

    def fill(self, model: M, *, package: str = "") -> M:
        """``model`` with every weight from the folder (the CNN's from ``package``, if it names one), in eval mode.

        The names and shapes must be exactly the same. Raises CheckpointError.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            weights = load_file(self.path / WEIGHTS)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"cannot read {self.path / WEIGHTS}: {error}") from error
        if package:
            weights = {f"{CNN}{name}": t.clone() for name, t in packaged_weights(package).items()} | weights
        expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        if expected != found:
            names = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
            first = names[0]
            raise CheckpointError(
                f"{self.path / WEIGHTS} does not match its config.json in {len(names)} tensors, first {first}: "
                f"expected {expected.get(first, 'nothing')}, found {found.get(first, 'nothing')}"
            )
        full = {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}
        model.load_state_dict(full, assign=True)
        assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
        return model.eval()


class _Undrawn(TorchFunctionMode):
    """Leaves out the random numbers that a model starts with: on the meta device there is nowhere to put them, and
    torch would import its compiler for them, which takes two seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        return options["tensor"] if func is torch.nn.init.normal_ else func(*args, **options)


def checked_config(
    path: Path,
    *,
    keys: Set[str],
    files: Set[str],
    optional: Set[str] = frozenset(),
    task: str = "captions",
) -> dict[str, Any]:
    """The config.json of a folder, its format, task and keys checked; cheap (no torch work, no weights).

    Captions, the first task, are the one that has no name in it. Raises CheckpointError.
    """
    if not path.is_dir():
        raise CheckpointError(f"there is no checkpoint folder {path}")
    if not (path / CONFIG).exists():
        raise CheckpointError(f"{path} is not a checkpoint: it has no config.json")
    config = read_settings(path / CONFIG, error=CheckpointError)
    if "format" not in config:
        raise CheckpointError(f"{path} is not a captioner checkpoint: its config.json has no format number")
    if config["format"] is True or config["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {config['format']!r}; this version of captioner reads format {FORMAT}, "
            "a whole number"
        )
    found = config.get("task", "captions" if "decoder" in config or task == "captions" else None)
    if found is None:
        raise CheckpointError(f"{path} is not a checkpoint for {task}: its config.json names no task")
    if found != task:
        raise CheckpointError(f"{path} is a checkpoint for {found}, not for {task}")
    listed = config.get("files")
    if not isinstance(listed, dict):
        raise CheckpointError(f"{path / CONFIG} does not match format {FORMAT}: see files")
    odd = sorted((set(config) - optional) ^ keys) or sorted(set(listed) ^ files)
    if odd:
        raise CheckpointError(f"{path / CONFIG} does not match format {FORMAT}: see {', '.join(odd)}")
    return config
