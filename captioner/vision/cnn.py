"""Loads any transformers CNN from a folder, the hub or its bare architecture, and checks every weight.

transformers itself fills missing weights with random numbers and only warns, and asks the hub for a folder that does
not exist. Here both are errors. This module imports transformers (seconds), so import it only where a CNN is loaded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import cached_file

from captioner.errors import CheckpointError, ConfigError, DataError, first_line
from captioner.safe.json_text import read_settings
from captioner.vision.config import EncoderConfig

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def load_cnn(config: EncoderConfig) -> nn.Module:
    """The CNN at ``config.source`` in float32 and eval mode, with its own or (``weights="random"``) random weights.

    Raises ConfigError for a source or a normalisation that makes no sense, CheckpointError for one that does not load.
    """
    folder = _folder(config.source)
    with _quiet():
        architecture = _architecture(config.source, folder)
        if config.weights == "random":
            cnn = AutoModel.from_config(architecture, dtype=torch.float32)
        else:
            _check_normalisation(config)
            cnn = _pretrained(config.source, folder, architecture)
    return cnn.eval()


def build_cnn(architecture: dict[str, Any]) -> nn.Module:
    """The architecture alone, in eval mode; weights are NaN, counters 0, until ``load_state_dict`` fills them."""
    values = dict(architecture)
    try:
        known = AutoConfig.for_model(values.pop("model_type"), **values)
        with _quiet(), torch.device("meta"):  # transformers spends most of its time drawing random weights
            cnn = AutoModel.from_config(known, dtype=torch.float32)
        if {name for name, _ in cnn.named_buffers()} - set(cnn.state_dict()):  # computed, and nowhere saved
            cnn = AutoModel.from_config(known, dtype=torch.float32)
    except Exception as error:
        name = architecture.get("model_type")
        raise CheckpointError(
            f"transformers {transformers.__version__} cannot build the CNN of type {name!r}: {first_line(error)}"
        ) from error
    if cnn.device.type == "meta":
        cnn = cnn.to_empty(device="cpu")
    for tensor in cnn.state_dict().values():
        tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
    return cnn.eval()


def _folder(source: str) -> Path | None:
    """The folder that ``source`` names, or None for a hub id. A path that is not there never goes to the hub."""
    if not source:
        raise ConfigError("encoder.source is empty; name the folder or the hub id of a transformers CNN")
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise CheckpointError(f"{path} holds no config.json; a transformers CNN folder has one")
        return path
    if path.exists() or not _HUB_ID.fullmatch(source):
        raise CheckpointError(f"encoder.source is {source!r}, but there is no such folder")
    return None


def _architecture(source: str, folder: Path | None) -> Any:
    """The transformers configuration; looked for in the local cache before the hub is asked."""
    for local in [True] if folder else [True, False]:
        try:
            return AutoConfig.from_pretrained(folder or source, local_files_only=local, trust_remote_code=False)
        except (OSError, ValueError) as error:
            last = error
    if folder:
        raise CheckpointError(f"{folder}/config.json is not a model that transformers knows: {first_line(last)}")
    raise CheckpointError(
        f"there is no folder {source!r} here, and the hub gave no model of that name: {first_line(last)}"
    ) from last


def _pretrained(source: str, folder: Path | None, architecture: Any) -> nn.Module:
    if folder and not any(folder.glob("*.safetensors")):
        raise CheckpointError(f"{folder} holds no .safetensors weights; pickled ones are never loaded: convert them")
    try:
        cnn, report = AutoModel.from_pretrained(
            folder or source,
            config=architecture,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, by name
        )
    except Exception as error:
        raise CheckpointError(f"the weights of {source!r} do not load: {first_line(error)}") from error
    wrong = {f"{name} (wrong shape)" for name, *_ in report["mismatched_keys"]}
    # the counter of batches seen is no weight, and old files lack it
    wrong |= {name for name in report["missing_keys"] if not name.endswith("num_batches_tracked")}
    if wrong:
        named = ", ".join(sorted(wrong)[:3]) + (" ..." if len(wrong) > 3 else "")
        raise CheckpointError(f"the weights of {source!r} lack {len(wrong)} that the CNN needs: {named}")
    return cnn


def _check_normalisation(config: EncoderConfig) -> None:
    """Refuse pixels unlike those that the CNN was trained on, which would silently cost accuracy."""
    try:
        path = cached_file(
            config.source,
            "preprocessor_config.json",
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        said = read_settings(Path(path)) if path else {}
    except (OSError, ValueError, DataError):
        return
    mean, std = said.get("image_mean"), said.get("image_std")
    if said.get("do_normalize") is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if not (isinstance(mean, (list, tuple)) and isinstance(std, (list, tuple)) and len(mean) == len(std) == 3):
        return
    near = all(abs(a - b) < 1e-3 for a, b in zip((*mean, *std), (*config.mean, *config.std), strict=True))
    if not near:
        raise ConfigError(
            f"{config.source!r} was trained on pixels normalised with mean {list(mean)} and std {list(std)}, but the "
            f"recipe says {list(config.mean)} and {list(config.std)}; set encoder.mean and encoder.std to the former"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and tables of transformers: what matters of them is raised as an error."""
    loud = transformers.utils.logging
    verbosity, bars = loud.get_verbosity(), loud.is_progress_bar_enabled()
    hub = logging.getLogger("huggingface_hub")
    hub_level = hub.level
    loud.set_verbosity_error()
    loud.disable_progress_bar()
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        loud.set_verbosity(verbosity)
        hub.setLevel(hub_level)
        if bars:
            loud.enable_progress_bar()
