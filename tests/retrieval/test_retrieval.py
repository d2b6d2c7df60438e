"""A retriever, from rendered clips to vectors: what it learns, what it reads, and that numpy reads queries alike."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.checkpoint.captioning import load_checkpoint
from captioner.cli import main
from captioner.errors import CheckpointError, ConfigError
from captioner.retrieval.checkpoint import load_retriever
from captioner.retrieval.config import RetrieverConfig
from captioner.retrieval.queries import UNKNOWN, Queries, Vocabulary
from captioner.retrieval.ranks import ranks
from captioner.retrieval.retriever import contrast, pooled
from captioner.training.config import DataConfig, Recipe, TaskConfig, TrainConfig
from captioner.training.train import fit
from data.shapes import render
from tests.tiny import CAPTIONS, tiny_checkpoint, tiny_retriever


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("retrieval")
    manifest = render(folder / "shapes", train=40, val=10, test=2, seed=3)
    text = folder / "text.jsonl"
    rows = [{"id": str(i), "split": "train", "captions": CAPTIONS[3 * i : 3 * i + 2]} for i in range(4)]
    text.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Recipe(
        task=TaskConfig(kind="retrieval"),
        data=DataConfig(manifests=(str(manifest),), text=(str(text),), cache=str(folder / "features")),
        retriever=RetrieverConfig(width=16, embed=8, hidden=16, rank=8, dropout=0.0, query_dropout=0.0, least_count=1),
        train=TrainConfig(
            start=str(tiny_checkpoint(folder, grid=2)),
            text_epochs=1,
            epochs=12,
            batch_size=20,
            learning_rate=5e-3,
            ema=0.9,
            threads=1,
        ),
    )


@pytest.fixture(scope="module")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(recipe, tmp_path_factory.mktemp("run"), quiet=True)


def test_it_learns_which_caption_belongs_to_which_clip(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained.parent / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["stage"] == "retrieval"]
    assert losses[-1] < 0.7 * losses[0]
    validated = [line for line in lines if line["stage"] == "retrieval_val"]
    assert len(validated) == 12
    assert max(line["recall"] for line in validated) > validated[0]["recall"] or validated[0]["recall"] > 0.5


def test_numpy_reads_queries_as_torch_does(trained: Path) -> None:
    loaded, queries = load_retriever(trained), Queries.load(trained)
    assert queries.fingerprint == loaded.fingerprint
    for text in ("two red circles move left", "a zebra", "!", ""):
        numbers = torch.tensor([loaded.words.numbers(text.split())])
        with torch.inference_mode():
            expected = loaded.model.queries(numbers)[0].numpy()
        assert np.allclose(queries.vector(text), expected, atol=1e-5)
        assert np.linalg.norm(queries.vector(text)) == pytest.approx(1, abs=1e-5)
    assert queries.unknown("two zebras, zebras") == ("zebras",)
    texts = ["two red circles move left", "a zebra", "", "a blue square"]
    assert np.allclose(queries.vectors(texts), [queries.vector(text) for text in texts], atol=1e-6)
    again = Queries(queries.weights, queries.words, fingerprint="")  # as an export holds them
    assert np.array_equal(again.vectors(texts), queries.vectors(texts))


def test_clips_become_unit_vectors_whatever_stands_beside_them(trained: Path, recipe: Recipe) -> None:
    encoder = load_checkpoint(recipe.train.start).model.encoder
    retriever = load_retriever(trained, encoder=encoder).model
    features = torch.rand(2, 3, encoder.places, encoder.width)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    both = retriever.vectors(features, mask).astype(np.float32)
    alone = retriever.vectors(features[1:, :1], mask[1:, :1]).astype(np.float32)
    assert np.allclose(np.linalg.norm(both, axis=1), 1, atol=2e-3) and np.allclose(both[1:], alone, atol=2e-3)


def test_an_encoder_that_it_was_not_trained_on_is_refused(trained: Path, tmp_path: Path) -> None:
    other = load_checkpoint(tiny_checkpoint(tmp_path, grid=3)).model.encoder
    with pytest.raises(CheckpointError, match="another captioner's CNN"):
        load_retriever(trained, encoder=other)


def test_what_a_recipe_must_say(recipe: Recipe, tmp_path: Path) -> None:
    for train in (dataclasses.replace(recipe.train, start=""), dataclasses.replace(recipe.train, train_encoder=True)):
        changed = {"source": "efficientnet-lite2"} if not train.start else {}
        encoder = dataclasses.replace(recipe.encoder, **changed)
        with pytest.raises(ConfigError, match=r"train\.start is"):
            fit(dataclasses.replace(recipe, train=train, encoder=encoder), tmp_path / "run", quiet=True)
    with pytest.raises(ConfigError, match=r"which task\.kind = 'captions' ignores"):
        dataclasses.replace(recipe, task=TaskConfig())


def test_info_knows_it(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(trained), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["task"] == "retrieval" and told["words"] == len(load_retriever(trained).words)


def test_a_damaged_or_foreign_folder_is_one_sentence(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        Queries.load(tmp_path)
    with pytest.raises(CheckpointError, match="for captions, not a retriever"):
        Queries.load(tiny_checkpoint(tmp_path))
    folder = tiny_retriever(tmp_path / "retriever")
    (folder / "model.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(CheckpointError, match="damaged"):
        Queries.load(folder)


def test_pooling_reads_the_frames_that_were_looked_at() -> None:
    features = torch.zeros(1, 2, 3, 4)  # two places, and the original CNN's
    features[0, 0], features[0, 1, :2] = 1, 3  # the original CNN looked at the first frame only
    found = pooled(features, torch.ones(1, 2, dtype=torch.bool), places=2)
    assert found.tolist() == [[2.0] * 4 + [2.0] * 4 + [1.0] * 4]
    features[0, 0, 0] = 7
    assert pooled(features, torch.tensor([[True, False]]), places=2)[0, :8].tolist() == [4.0] * 4 + [7.0] * 4


def test_the_contrast_is_least_where_pairs_agree() -> None:
    vectors = torch.eye(3)
    right = contrast(vectors, vectors, temperature=0.1)
    assert right < 1e-3 < contrast(vectors, vectors[[1, 2, 0]], temperature=0.1)


def test_words_have_numbers_and_ranks_count_what_is_better() -> None:
    words = Vocabulary.learn([[["a", "dog"], ["a", "cat", "a"]]], least=2)
    assert words.words == ("a",) and words.numbers(["a", "dog"]) == [2, UNKNOWN] and words.numbers([]) == [UNKNOWN]
    scores = np.array([[0.1, 0.9, 0.5], [0.5, 0.5, 0.5]])
    assert ranks(scores, np.array([2, 0])).tolist() == [1, 1]
