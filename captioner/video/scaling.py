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
    spans, precision = _spans(rgb.shape[axis], count)
    lines = np.ascontiguousarray(np.moveaxis(rgb, axis, 0))
    flat = lines.reshape(len(lines), -1)
    totals = np.empty((count, flat.shape[1]))  # integers, and exact
    for total, (first, weights) in zip(totals, spans, strict=True):
        np.matmul(weights, flat[first : first + len(weights)].astype(np.float64), out=total)
    scaled = (totals.astype(np.int32) + (1 << (precision - 1))) >> precision
    return np.moveaxis(np.clip(scaled, 0, 255).astype(np.uint8).reshape(count, *lines.shape[1:]), 0, axis)


@lru_cache(maxsize=16)
def _spans(given: int, wanted: int) -> tuple[list[tuple[int, np.ndarray]], int]:
    """The first pixel that each of the wanted ones looks at, whole weights from there on, and their binary places."""
    ratio = given / wanted
    support = max(ratio, 1.0)
    shares = []
    for number in range(wanted):
        centre = ratio * (number + 0.5)
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), given)
        share = np.maximum(0.0, 1 - np.abs((np.arange(first, last) - centre + 0.5) / support))
        shares.append((first, share / share.sum()))
    largest = max(share.max() for _, share in shares)
    precision = next(
        bits for bits in range(_BITS + 1) if bits == _BITS or int(0.5 + largest * 2 ** (bits + 1)) >= 1 << 15
    )
    return [(first, np.floor(share * 2**precision + 0.5)) for first, share in shares], precision
