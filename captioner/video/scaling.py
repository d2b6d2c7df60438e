"""Antialiased bilinear scaling in numpy: bit for bit what torch does to uint8 pictures, where torch is not loaded.

Horizontally first, then vertically; each pass in integers, with weights of 16 bits, as in torch's and Pillow's kernels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_BITS = 22


def scale(rgb: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """``rgb`` (height, width, 3) uint8 as (rows, columns, 3)."""
    return _along(_along(rgb, columns, axis=1), rows, axis=0)


def _along(rgb: np.ndarray, count: int, *, axis: int) -> np.ndarray:
    places, weights, precision = _weights(rgb.shape[axis], count)
    shape = [*rgb.shape]
    shape[axis] = count
    total = np.full(shape, 1 << (precision - 1), np.int32)
    broad = [1] * rgb.ndim
    broad[axis] = count
    for tap in range(places.shape[1]):
        total += rgb.take(places[:, tap], axis=axis).astype(np.int32) * weights[:, tap].reshape(broad)
    return np.clip(total >> precision, 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _weights(given: int, wanted: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Where each of the wanted pixels looks (wanted, taps), the integer weights, and their binary places."""
    ratio = given / wanted
    support = max(ratio, 1.0)
    spans, shares = [], []
    for number in range(wanted):
        centre = ratio * (number + 0.5)
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), given)
        share = np.maximum(0.0, 1 - np.abs((np.arange(first, last) - centre + 0.5) / support))
        spans.append(first)
        shares.append(share / share.sum())
    largest = max(share.max() for share in shares)
    precision = next(
        bits for bits in range(_BITS + 1) if bits == _BITS or int(0.5 + largest * 2 ** (bits + 1)) >= 1 << 15
    )
    taps = max(map(len, shares))
    weights = np.zeros((wanted, taps), np.int32)
    for row, share in zip(weights, shares, strict=True):
        row[: len(share)] = np.floor(share * 2**precision + 0.5)
    places = np.minimum(np.array(spans)[:, None] + np.arange(taps), given - 1)
    return places, weights, precision
