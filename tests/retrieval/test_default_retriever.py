"""The retriever in the package: it is small, and fits the captioner in the package."""

from __future__ import annotations

from captioner.index.indexer import Indexer
from captioner.retrieval.queries import DEFAULT, Queries


def test_it_is_small_and_without_paths_of_its_makers() -> None:
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) < 4.2e6
    assert (
        "/work/" not in (DEFAULT / "config.json").read_text() and "/tmp/" not in (DEFAULT / "config.json").read_text()
    )


def test_it_reads_the_features_of_the_captioner_in_the_package() -> None:
    indexer, queries = Indexer.load(thumbnails=False), Queries.load()
    assert indexer.facts.retriever == queries.fingerprint and indexer.facts.width == len(queries.vector("a dog"))
    dog, puppy, car = (queries.vector(text) for text in ("a dog runs", "a puppy is running", "a man drives a car"))
    assert dog @ puppy > 0.5 > dog @ car
