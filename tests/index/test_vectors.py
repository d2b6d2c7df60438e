"""The product of float16 vectors, against numpy's own."""

from __future__ import annotations

import numpy as np

from captioner.index.vectors import best, products


def test_products_are_numpys() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1300, 24)).astype(np.float16)
    vectors[7], vectors[8, :4] = 0, [6e-8, -6e-8, 65504, -1e-5]  # subnormal, largest
    query = rng.standard_normal(24).astype(np.float32)
    expected = vectors.astype(np.float64) @ query.astype(np.float64)
    for threads in (1, 3):
        found = products(vectors, query, threads=threads)
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert products(vectors[:0], query).shape == (0,)


def test_the_best_come_first_and_equal_ones_in_order() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.9, -1.0], np.float32)
    assert best(scores, 3).tolist() == [1, 3, 2]
    assert best(scores, 9).tolist() == [1, 3, 2, 0, 4]
    assert best(scores[:0], 3).tolist() == []
