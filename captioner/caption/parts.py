"""What a checkpoint brings to the search and to the reranking, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from captioner.caption.telling import Wording
from captioner.checkpoint.captioning import Checkpoint
from captioner.language.lexicon import Lexicon, make_lexicon
from captioner.language.reranker import Reranker
from captioner.metrics.content import carries
from captioner.retrieval.checkpoint import RetrieverCheckpoint, load_retriever
from captioner.vision.nouns import nouns


def checkpoint_wording(checkpoint: Checkpoint, retriever: RetrieverCheckpoint | None) -> Wording:
    """How the captioner of a checkpoint makes captions of hypotheses."""
    lexicon, model = checkpoint_lexicon(checkpoint), checkpoint.model
    reranker = None
    if model.detector is not None:
        table = None if model.phrases is None else model.phrases.cpu().numpy()
        usual, names = model.detector.usual.cpu().numpy(), [noun.name for noun in nouns()]
        actions = [] if model.actions is None else action_words(model.actions.labels)
        reranker = Reranker(model.detector.forms, usual, table, nouns=names, actions=actions)
    reliability = None if model.evidence is None else model.evidence.reliability
    return Wording(
        pieces=checkpoint.tokenizer.pieces if lexicon is None else lexicon.pieces,
        reranker=reranker,
        calibration=checkpoint.calibration,
        fingerprint=checkpoint.fingerprint,
        lexicon=lexicon,
        reliability=None if reliability is None else reliability.cpu().numpy(),
        queries=retriever.queries() if retriever else None,
    )


def action_words(labels: Sequence[str]) -> list[str]:
    """The words that carry what each label says, with spaces between them."""
    return [" ".join(word for word in label.split() if carries(word)) for label in labels]


def checkpoint_retriever(checkpoint: Checkpoint) -> RetrieverCheckpoint | None:
    """The package's retriever where the checkpoint's search wants it and it reads its features."""
    if not checkpoint.search.match_weight:
        return None
    loaded = load_retriever()
    return loaded if loaded.reads == checkpoint.model.encoder.fingerprint() else None


def checkpoint_lexicon(checkpoint: Checkpoint) -> Lexicon | None:
    """What grounds the captions of a checkpoint; None where it is not grounded."""
    evidence, detector = checkpoint.model.evidence, checkpoint.model.detector
    if evidence is None or evidence.reliability is None:
        return None
    familiar = {form for row in detector.forms for form in row.split()} if detector else set()
    names = [noun.name for noun in nouns()]
    labels = checkpoint.model.actions.labels if checkpoint.model.actions is not None else ()
    return make_lexicon(
        checkpoint.tokenizer.pieces,
        names=names,
        alike=evidence.likeness().cpu().numpy(),
        familiar=familiar,
        actions=[checkpoint.tokenizer.encode(label) for label in labels],
    )


def to_tensors(lexicon: Lexicon, device: torch.device) -> Lexicon:
    arrays = {name: value for name, value in vars(lexicon).items() if isinstance(value, np.ndarray)}
    changed: dict[str, Any] = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    return replace(lexicon, **changed)
