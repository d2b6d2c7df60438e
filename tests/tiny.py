"""A tiny seeded captioner: real in every part, but small and untrained."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from captioner.checkpoint.captioning import save_checkpoint
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.tokenizer import CaptionTokenizer
from captioner.model import CaptionModel
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder

CAPTIONS = [
    f"{count} {colour} {shape} {motion}"
    for count in ("a", "two")
    for colour in ("red", "blue", "green")
    for shape in ("circle", "square", "cross")
    for motion in ("moves left", "moves right", "grows")
]


def tiny_cnn(folder: Path) -> Path:
    """A folder that holds only the config.json of a very small ResNet."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def tiny_model(folder: Path, *, grid: int = 0) -> tuple[CaptionModel, CaptionTokenizer]:
    """A seeded model of about 20,000 weights and its tokenizer."""
    torch.manual_seed(0)
    tokenizer = CaptionTokenizer.train(CAPTIONS, vocab_size=60)
    config = EncoderConfig(source=str(tiny_cnn(folder)), weights="random", grid=grid)
    encoder = FrameEncoder.load(config)
    decoder = DecoderConfig(embed=16, hidden=16, attention=8)
    return CaptionModel(encoder, decoder, vocabulary=len(tokenizer)).eval(), tokenizer


def tiny_checkpoint(folder: Path, *, grid: int = 0) -> Path:
    """A checkpoint folder with :func:`tiny_model` in it."""
    model, tokenizer = tiny_model(folder / "cnn", grid=grid)
    save_checkpoint(
        folder / "checkpoint",
        model=model,
        tokenizer=tokenizer,
        video=VideoConfig(frames=4, size=32),
        search=SearchConfig(beams=3, max_length=8),
        trained_on={"clips": 0},
    )
    return folder / "checkpoint"


def tiny_retriever(folder: Path, *, captioner: Path | None = None) -> Path:
    """A seeded, untrained retriever of the words of :data:`CAPTIONS`, on the features of a captioner's folder."""
    from captioner.checkpoint.captioning import load_checkpoint
    from captioner.metrics.text import tokenize
    from captioner.retrieval.checkpoint import save_retriever
    from captioner.retrieval.config import RetrieverConfig
    from captioner.retrieval.queries import Vocabulary
    from captioner.retrieval.retriever import Retriever

    torch.manual_seed(0)
    encoder = load_checkpoint(captioner).model.encoder if captioner else None
    words = Vocabulary.learn([[tokenize(caption)] for caption in [*CAPTIONS, "a bird on a beach", "dog"]], least=1)
    config = RetrieverConfig(width=16, embed=8, hidden=16)
    inputs = 2 * encoder.width if encoder else 32
    save_retriever(
        folder,
        model=Retriever(config, inputs=inputs, words=words.rows, places=encoder.places if encoder else 1).eval(),
        words=words,
        reads=encoder.fingerprint() if encoder else "",
        trained_on={"clips": 0},
    )
    return folder
