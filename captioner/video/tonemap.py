"""Maps HDR pictures (PQ or HLG, Rec. ITU-R BT.2100) to the SDR that the CNN was trained on.

Highlights are compressed as in Report ITU-R BT.2390, 5.4.1, from 1,000 nits to the 203 of diffuse white (BT.2408), by
the largest of the three colours, so that hues stay. Then the primaries become BT.709's and the curve BT.1886's. All
curves are tables of integer codes: a 4K picture takes a third of a second.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

PQ, HLG = 16, 18
"""Transfer characteristics of a frame (ITU-T H.273, table 3)."""
_PEAK, _WHITE = 1000.0, 203.0  # nits
_SYSTEM_GAMMA = 1.2
_DISPLAY_GAMMA = 2.4
_CODES = 1 << 16
_LARGEST_CODE = 0xFF00
"""Full white as swscale writes it in 16 bits."""
_FINE = (1 << 18) - 1
_ROWS_AT_ONCE = 64

_TO_BT709 = {
    1: np.eye(3),
    9: np.linalg.inv([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]),  # BT.2087
    12: np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]),  # Display P3
}
"""By a frame's colour primaries (H.273, table 2). HDR without any, or with others, is BT.2020's."""
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of BT.709's primaries


def is_hdr(frame: Any) -> bool:
    """Whether a decoded frame is tagged as HDR."""
    return frame.color_trc in (PQ, HLG)


def hdr_to_sdr(frame: Any) -> np.ndarray:
    """A decoded frame that is tagged as HDR, as (height, width, 3) uint8 RGB of SDR."""
    codes = frame.reformat(format="rgb48le", threads=1).to_ndarray()
    return tone_map(codes, transfer=frame.color_trc, primaries=frame.color_primaries)


def tone_map(codes: np.ndarray, *, transfer: int, primaries: int) -> np.ndarray:
    """(height, width, 3) uint16 RGB in the PQ or HLG curve, as uint8 RGB of SDR."""
    matrix = _TO_BT709.get(primaries, _TO_BT709[9])
    to_709 = matrix.T.astype(np.float32)
    weights = (_LUMINANCE @ matrix).astype(np.float32)
    sdr = np.empty(codes.shape, np.uint8)
    for top in range(0, len(codes), _ROWS_AT_ONCE):  # what lies between stays in the processor's cache
        part = codes[top : top + _ROWS_AT_ONCE]
        light = _from_pq(part) if transfer == PQ else _from_hlg(part, weights)
        light = np.matmul(light, to_709)
        np.clip(light, 0, 1, out=light)
        light *= _FINE
        sdr[top : top + _ROWS_AT_ONCE] = _display_codes().take(light.astype(np.int32))
    return sdr


def _from_pq(codes: np.ndarray) -> np.ndarray:
    """Light, of which 1 is SDR's white."""
    light, share = _pq_tables()
    return light.take(codes) * share.take(_largest(codes))[..., None]


def _from_hlg(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    scene_light, display_gain, share = _hlg_tables()
    scene = scene_light.take(codes)
    gain = display_gain.take(_fine(scene @ weights))
    gain *= share.take(_fine(gain * _largest(scene) * np.float32(_WHITE / _PEAK)))
    return scene * gain[..., None]


def _largest(values: np.ndarray) -> np.ndarray:
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    return np.maximum(np.maximum(red, green), blue)


def _fine(light: np.ndarray) -> np.ndarray:
    """Where light of 0 to 1 stands in a table that is finer where it is dark."""
    return (np.sqrt(np.clip(light, 0, 1)) * (_CODES - 1)).astype(np.int32)


@lru_cache(maxsize=1)
def _pq_tables() -> tuple[np.ndarray, np.ndarray]:
    """By code: its light, and the share of it that is left when it is the largest of three."""
    nits = pq_nits(np.minimum(np.arange(_CODES) / _LARGEST_CODE, 1))
    return (nits / _WHITE).astype(np.float32), _share_left(nits)


@lru_cache(maxsize=1)
def _hlg_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By code, the scene's light; by ``_fine`` luminance, the gain of a display; by ``_fine`` light, what is left."""
    scene = hlg_scene_light(np.minimum(np.arange(_CODES) / _LARGEST_CODE, 1))
    fine = (np.arange(_CODES) / (_CODES - 1)) ** 2
    gain = _PEAK / _WHITE * fine ** (_SYSTEM_GAMMA - 1)
    return scene.astype(np.float32), gain.astype(np.float32), _share_left(_PEAK * fine)


@lru_cache(maxsize=1)
def _display_codes() -> np.ndarray:
    """By linear light of 0 to 1, the 8-bit code that makes a BT.1886 display show it."""
    return np.round(255 * (np.arange(_FINE + 1) / _FINE) ** (1 / _DISPLAY_GAMMA)).astype(np.uint8)


def _share_left(nits: np.ndarray) -> np.ndarray:
    return np.divide(compressed_nits(nits), nits, out=np.ones(len(nits)), where=nits > 0).astype(np.float32)


def pq_nits(code: np.ndarray) -> np.ndarray:
    """The EOTF of SMPTE ST 2084."""
    root = code ** (32 / 2523)
    return 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)


def pq_code(nits: np.ndarray) -> np.ndarray:
    """The inverse of ``pq_nits``."""
    power = (nits / 10_000) ** (1305 / 8192)
    return ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg_scene_light(code: np.ndarray) -> np.ndarray:
    """The inverse OETF of HLG: 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def compressed_nits(nits: np.ndarray) -> np.ndarray:
    """Light of 0 to 1,000 nits as 0 to 203: unchanged up to a knee, then along a Hermite spline."""
    top = pq_code(np.array(_PEAK))
    code = np.minimum(pq_code(nits) / top, 1)
    highest = pq_code(np.array(_WHITE)) / top
    knee = 1.5 * highest - 0.5
    t = np.maximum(code - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * highest
    return pq_nits(np.where(code < knee, code, spline) * top)
