"""Exports a captioner as ONNX: what ``captioner.runtime`` runs without torch (opset 18)."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.caption.parts import action_words, checkpoint_retriever, checkpoint_wording
from captioner.caption.telling import Wording
from captioner.checkpoint.captioning import Checkpoint
from captioner.config import to_dict
from captioner.errors import CaptionerError
from captioner.io.extras import import_onnx
from captioner.io.status import Status
from captioner.language.decoder import AttentionGRU, Memory
from captioner.language.lexicon import Lexicon
from captioner.model import CaptionModel
from captioner.retrieval.checkpoint import RetrieverCheckpoint
from captioner.retrieval.retriever import pooled
from captioner.runtime.runner import CONFIG, ENCODER, FORMAT, LEXICON_ARRAYS, MEMORY, QUERIES, STEP, UNTUNED
from captioner.safe.whole import whole_folder
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.precision import dead_leaves

OPSET = 18
_FILES = (CONFIG, ENCODER, UNTUNED, MEMORY, STEP, QUERIES)


class _Encoder(nn.Module):
    """Frames (N, S, S, 3) uint8 -> features (N, P, D)."""

    def __init__(self, encoder: FrameEncoder, size: int) -> None:
        super().__init__()
        self.cnn, self.scale, self.shift = encoder.cnn, encoder.scale, encoder.shift
        with torch.no_grad():
            height, width = self.cnn(torch.zeros(1, 3, size, size)).last_hidden_state.shape[-2:]
        cells = torch.eye(height * width).view(height * width, height, width)
        grid = max(1, encoder.config.grid)
        pooled = torch.nn.functional.adaptive_avg_pool2d(cells, grid).flatten(1)  # ONNX has no such pooling: a product
        self.pool = nn.Parameter(pooled.T.contiguous(), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        normalised = pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift
        return self.pool @ self.cnn(normalised).last_hidden_state.flatten(2).transpose(1, 2)


class _Memory(nn.Module):
    """Features (T, P, D) -> values (N, H), keys (N, A), evidence (V), nouns (T, M), words (W), people (),
    several (), rendered (), actions (A), the clip's vector (W), and the first state (1, H) each.
    """

    def __init__(self, model: CaptionModel, retriever: RetrieverCheckpoint | None) -> None:
        super().__init__()
        self.decoder, self.evidence, self.detector = model.decoder, model.evidence, model.detector
        self.parts, self.people, self.rendered = model.encoder.parts, model.people, model.rendered
        self.actions, self.several = model.actions, model.several
        self.retriever = None if retriever is None else retriever.model.clips

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        clip, shown = self.parts(features[None])
        mask = torch.ones_like(clip[..., 0, 0], dtype=torch.bool)
        memory = self.decoder.remember(clip, mask)
        state = self.decoder.start(memory)
        if self.evidence is None:
            evidence, nouns = torch.zeros_like(self.decoder.bias), features[..., 0, :1]
        else:
            evidence, nouns = (part[0] for part in self.evidence(shown, mask, vocabulary=len(self.decoder.bias)))
        words = self.detector(clip, mask)[0] if self.detector is not None else features[0, 0, :1]
        people = self.people(clip, mask)[0] if self.people is not None else features[0, 0, 0] * 0 + 1
        several = self.several(clip, mask)[0] if self.several is not None else features[0, 0, 0] * 0 + 1
        rendered = self.rendered(clip, mask)[0] if self.rendered is not None else features[0, 0, 0] * 0
        actions = self.actions(clip, mask)[0] if self.actions is not None else features[0, 0, :0]
        clips = None if self.retriever is None else pooled(features[None], mask, places=clip.shape[2])
        vector = features[0, 0, :1] if self.retriever is None else self.retriever(clips)[0]
        observed = memory.values[0], memory.keys[0], evidence, nouns, words, people, several, rendered, actions, vector
        return (*observed, *(part[0] for part in state))


_OBSERVED = ("values", "keys", "evidence", "nouns", "words", "people", "several", "rendered", "actions", "vector")
"""What a clip's memory gives before the state."""


class _Step(nn.Module):
    """Tokens (K) and state (K, H) each -> log-probabilities (K, V), attention (K, N) and the next state."""

    def __init__(self, decoder: AttentionGRU) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, tokens: Tensor, values: Tensor, keys: Tensor, evidence: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        decoder = self.decoder
        mask = torch.ones_like(values[None, :, 0], dtype=torch.bool)
        memory = Memory(values[None], keys[None], mask, evidence[None] if decoder.gate is not None else None)
        embedded = decoder.embedding(tokens[None])
        projected = decoder._cell(0).project(embedded)
        after, weights = decoder._advance(memory, projected, tuple(part[None] for part in state))
        readout = after[0], decoder._top(after)
        log_probs = decoder._logits(decoder._deepen(embedded, readout), readout, memory).log_softmax(dim=-1)
        return (log_probs[0], weights[0], *(part[0] for part in after))


_COSTS = {ENCODER: 7.0, UNTUNED: 5.0, MEMORY: 3.0, STEP: 2.0}
"""How long a part takes beside the others; its 8 bits take half of that."""

Begin = Callable[[str], None]
"""Hears the name of a part that is about to be made."""


def export(
    checkpoint: Checkpoint, folder: Path, *, int8: bool = False, status: Status | None = None, overwrite: bool = False
) -> None:
    """Write encoder (and original CNN), memory and step as ONNX, and all else that the runtime needs, to a new folder.

    ``int8`` keeps weights (and the CNN's maps) in 8 bits; ``status`` shows how far it is. Raises CaptionerError
    where onnx is missing, for a folder that exists (unless ``overwrite``) and for a checkpoint that cannot be exported.
    """
    _check(checkpoint)
    with whole_folder(folder, overwrite=overwrite, ours=lambda folder: _FILES) as temporary:
        names = [name for name in _COSTS if name != UNTUNED or checkpoint.model.encoder.config.untuned]
        total, done = sum(_COSTS[name] for name in names) * (1.5 if int8 else 1.0), 0.0

        def begin(name: str, *, part: float = 1.0) -> None:
            nonlocal done
            if status is not None:
                status.show(
                    f"writing {name} ({names.index(name) + 1} of {len(names)})" + " in 8 bits" * (part < 1),
                    share=done / total,
                )
            done += part * _COSTS[name]

        _write(checkpoint, temporary, begin)
        if int8:
            _quantise(temporary, checkpoint, partial(begin, part=0.5))


def _check(checkpoint: Checkpoint) -> None:
    import_onnx()
    config = checkpoint.model.decoder.config
    if config.temporal != "none":
        raise CaptionerError(f'a captioner with decoder.temporal = "{config.temporal}" cannot be exported as ONNX')


def _write(checkpoint: Checkpoint, folder: Path, begin: Begin) -> None:
    model, size = checkpoint.model.eval(), checkpoint.video.size
    encoder = _Encoder(model.encoder, size).eval()
    retriever = checkpoint_retriever(checkpoint)
    memory, step = _Memory(model, retriever).eval(), _Step(model.decoder).eval()
    pixels = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    features = torch.zeros(3, model.encoder.places + model.encoder.config.untuned, model.encoder.width)
    with torch.no_grad():
        values, keys, evidence, *_ = observed = memory(features)
        state = observed[len(_OBSERVED) :]
    states = [f"state{i}" for i in range(len(state))]
    some = torch.export.Dim("some", min=1, max=4096)
    begin(ENCODER)
    _save(encoder, (pixels,), folder / ENCODER, ["pixels"], ["features"], [{0: some}])
    if model.encoder.config.untuned:
        begin(UNTUNED)
        untuned = _Encoder(FrameEncoder.load(EncoderConfig(source=model.encoder.config.source)), size).eval()
        _save(untuned, (pixels,), folder / UNTUNED, ["pixels"], ["features"], [{0: some}])
    outputs = [*_OBSERVED, *states]
    begin(MEMORY)
    _save(memory, (features,), folder / MEMORY, ["features"], outputs, [{0: some}])
    beams, positions = torch.export.Dim("beams", min=1, max=4096), torch.export.Dim("positions", min=1, max=1 << 20)
    given = (torch.zeros(3, dtype=torch.long), values, keys, evidence, *(part.expand(3, -1).clone() for part in state))
    shapes: list[Any] = [{0: beams}, {0: positions}, {0: positions}, None, tuple({0: beams} for _ in state)]
    names = ["tokens", "values", "keys", "evidence", *states]
    after = ["log_probs", "attention", *(f"next{i}" for i in range(len(state)))]
    begin(STEP)
    _save(step, given, folder / STEP, names, after, shapes)
    wording = checkpoint_wording(checkpoint, retriever)
    if wording.queries is not None:
        np.savez(folder / QUERIES, **wording.queries.weights)  # type: ignore[arg-type]
    (folder / CONFIG).write_text(json.dumps(_settings(checkpoint, wording)) + "\n", encoding="utf-8")
    for name, paper in checkpoint.papers.items():
        (folder / name).write_bytes(paper)


def _settings(checkpoint: Checkpoint, wording: Wording) -> dict[str, Any]:
    """What stands in config.json."""
    model = checkpoint.model
    return {
        "runtime": FORMAT,
        "opset": OPSET,
        "fingerprint": wording.fingerprint,
        "video": to_dict(checkpoint.video),
        "search": to_dict(checkpoint.search),
        "calibration": to_dict(wording.calibration) if wording.calibration else None,
        "places": model.encoder.places,
        "untuned": model.encoder.config.untuned,
        "evidence": model.evidence is not None,
        "words": list(model.detector.forms) if model.detector is not None else [],
        "phrases": "" if model.phrases is None else base64.b64encode(model.phrases.cpu().numpy().tobytes()).decode(),
        "actions": action_words(model.actions.labels) if model.actions is not None else [],
        "usual": [round(x, 4) for x in model.detector.usual.tolist()] if model.detector is not None else [],
        "pieces": [piece.decode("latin-1") for piece in wording.pieces.spelled],
        "lexicon": _plain(wording.lexicon) if wording.lexicon else None,
        "query_words": [] if wording.queries is None else list(wording.queries.words.words),
        "reliability": [] if wording.reliability is None else [round(x, 4) for x in wording.reliability.tolist()],
    }


def _plain(lexicon: Lexicon) -> dict[str, Any]:
    arrays = {name: getattr(lexicon, name).tolist() for name in LEXICON_ARRAYS}
    return {"names": list(lexicon.names), "size": lexicon.size, **arrays}


def _save(
    module: nn.Module,
    given: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    shapes: Sequence[Any],
) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            module,
            given,
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(shapes),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _quantise(folder: Path, checkpoint: Checkpoint, begin: Begin) -> None:
    """Eight bits: the CNN's weights and maps by ranges that made-up frames have, of the rest the weights alone.

    Maps are rounded after ReLU6 (the product's Clip), not before; the first layers, whose maps differ most from channel
    to channel, stay as they are: mean cosine of the features on 24 frames 0.991, without either 0.71.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    size = checkpoint.video.size
    frames = dead_leaves(32, height=size, width=size).numpy()

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._parts = iter(np.array_split(frames, 8))

        def get_next(self) -> dict[str, np.ndarray] | None:
            part = next(self._parts, None)
            return None if part is None else {"pixels": part}

    prepared = folder / "prepared.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        logging.getLogger().setLevel(logging.ERROR)
        for name in (ENCODER, UNTUNED) if checkpoint.model.encoder.config.untuned else (ENCODER,):
            begin(name)
            quant_pre_process(folder / name, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                folder / name,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "Clip"],
                nodes_to_exclude=_first_layers(prepared),
            )
        for name in (MEMORY, STEP):
            begin(name)
            quantize_dynamic(folder / name, prepared, per_channel=True, weight_type=QuantType.QInt8)
            prepared.replace(folder / name)
    prepared.unlink(missing_ok=True)


def _first_layers(path: Path) -> list[str]:
    """The nodes of the first three convolutions and of what cuts their maps."""
    import onnx

    nodes = onnx.load(path).graph.node
    found = {kind: [node.name for node in nodes if node.op_type == kind] for kind in ("Conv", "Clip")}
    return found["Conv"][:3] + found["Clip"][:2]
