"""HDR (PQ and HLG) as SDR: patch charts through encoders and containers, and the tables against the formulas."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from captioner.video.frames import iter_frames
from captioner.video.tonemap import HLG, PQ, tone_map

SIDE = 32
BT709_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
CHART = np.array(
    [
        [0, 0, 0],
        [40, 40, 40],
        [117, 117, 117],
        [160, 160, 160],
        [160, 40, 40],
        [40, 160, 40],
        [40, 40, 160],
        [150, 120, 90],
    ]
)
"""Colours of SDR below the knee of the compression: they come back as they were."""


def pq(nits: np.ndarray) -> np.ndarray:
    """Code of SMPTE ST 2084, by its formula."""
    y = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def light_of_pq(code: np.ndarray) -> np.ndarray:
    p = code ** (1 / 78.84375)
    return 10000 * (np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (1 / 0.1593017578125)


def hlg(nits: np.ndarray) -> np.ndarray:
    """Code of HLG for (..., 3) light of a display of 1,000 nits, by the formulas of BT.2100."""
    luminance = (nits @ [0.2627, 0.6780, 0.0593])[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        scene = np.where(luminance > 0, nits / 1000 * (luminance / 1000) ** (1 / 1.2 - 1), 0)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def as_hdr(sdr: np.ndarray, transfer: int) -> np.ndarray:
    """Codes, 0 to 1, with which an HDR display shows (N, 3) 8-bit SDR colours, white at 203 nits (BT.2408)."""
    nits = np.maximum(203 * (sdr / 255) ** 2.4 @ BT709_TO_BT2020.T, 0)
    return pq(nits) if transfer == PQ else hlg(nits)


def render_chart(path: Path, codes: np.ndarray, *, codec: str, transfer: int, bits: int = 10) -> Path:
    """Patches of (N, 3) RGB codes beside each other, 4:2:0, with the colour tags of BT.2100; one second."""
    red, green, blue = codes.T
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    planes = (16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8814, 128 + 224 * (red - luma) / 1.4746)
    frame = av.VideoFrame(SIDE * len(codes), SIDE, "yuv420p10le" if bits == 10 else "yuv420p")
    for plane, values, step in zip(frame.planes, planes, (SIDE, SIDE // 2, SIDE // 2), strict=True):
        whole = np.round(values * (4 if bits == 10 else 1)).astype("<u2" if bits == 10 else "u1")
        rows = np.zeros((plane.height, plane.line_size // whole.itemsize), whole.dtype)
        rows[:, : plane.width] = np.repeat(whole, step)
        plane.update(rows.tobytes())
    options = {"libx265": {"x265-params": "log-level=none:pools=1", "preset": "ultrafast"}}.get(codec, {})
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=2, options={**options, **({"crf": "1"} if "x26" in codec else {})})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        for tagged in (frame, stream.codec_context):
            tagged.color_trc, tagged.color_primaries, tagged.colorspace, tagged.color_range = transfer, 9, 9, 1
        for number in range(2):
            frame.pts, frame.time_base = number, Fraction(1, 2)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def patches(path: Path) -> np.ndarray:
    """The colours of the chart as the network would get them: (N, 3)."""
    frame = next(iter_frames(path, count=1)).pixels
    return np.stack([frame[SIDE // 2, SIDE // 2 + SIDE * n] for n in range(frame.shape[1] // SIDE)]).astype(int)


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])
@pytest.mark.parametrize(
    ("codec", "name", "bits"),
    [
        ("ffv1", "a.mkv", 10),
        ("libx265", "a.mkv", 10),
        ("libx264", "a.mp4", 10),
        ("libx264", "a.mov", 10),
        ("libvpx-vp9", "a.webm", 8),
    ],
)
def test_colours_of_sdr_come_back(tmp_path: Path, codec: str, name: str, bits: int, transfer: int) -> None:
    clip = render_chart(tmp_path / name, as_hdr(CHART, transfer), codec=codec, transfer=transfer, bits=bits)
    found = patches(clip)
    assert np.abs(found - CHART).max() <= (6 if bits == 10 else 16), found.tolist()  # 8 bits are too few for HDR


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])
def test_highlights_are_compressed_and_keep_their_order(tmp_path: Path, transfer: int) -> None:
    nits = np.array([26, 100, 203, 300, 500, 1000])[:, None].repeat(3, axis=1)
    codes = pq(nits) if transfer == PQ else hlg(nits)
    found = patches(render_chart(tmp_path / "a.mkv", codes, codec="ffv1", transfer=transfer))
    grey = found[:, 1]
    assert (np.diff(grey) > 0).all() and np.abs(found - grey[:, None]).max() <= 1
    assert grey[0] == pytest.approx(108, abs=3) and 225 <= grey[2] <= 235 and grey[-1] >= 253


def test_what_is_not_tagged_as_hdr_is_left_as_it_is(tmp_path: Path) -> None:
    clip = render_chart(tmp_path / "a.mkv", as_hdr(CHART, PQ), codec="ffv1", transfer=1)
    with av.open(str(clip)) as container:
        plain = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert (next(iter_frames(clip, count=1)).pixels == plain).all()


def slowly(codes: np.ndarray, transfer: int) -> np.ndarray:
    """The whole way in double precision, by the formulas of BT.2100, BT.2390 and BT.1886."""
    if transfer == PQ:
        nits = light_of_pq(codes)
    else:
        scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1000 * scene * (scene @ [0.2627, 0.6780, 0.0593])[..., None] ** 0.2
    most = nits.max(axis=-1, keepdims=True)
    code, highest = np.minimum(pq(most) / pq(1000), 1), pq(203) / pq(1000)
    knee = 1.5 * highest - 0.5
    t = (code - knee) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * highest
    less = light_of_pq(np.where(code < knee, code, curve) * pq(1000))
    linear = (
        nits * np.divide(less, most, out=np.ones_like(most), where=most > 0) / 203 @ np.linalg.inv(BT709_TO_BT2020).T
    )
    return 255 * np.clip(linear, 0, 1) ** (1 / 2.4)


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])
def test_tables_give_what_the_formulas_give(transfer: int) -> None:
    codes = np.random.default_rng(0).integers(0, 0xFF01, (130, 90, 3)).astype(np.uint16)
    codes[0] = np.linspace(0, 0xFF00, 90).astype(np.uint16)[:, None]
    found = tone_map(codes, transfer=transfer, primaries=9)
    assert np.abs(found - slowly(codes / 0xFF00, transfer)).max() < 2


def test_hostile_tags_change_nothing_but_colours() -> None:
    codes: Any = np.array([[[0, 0xFFFF, 0xFF00]]], np.uint16)
    for transfer in (PQ, HLG):
        for primaries in (0, 1, 2, 9, 12, 22, 255):
            assert tone_map(codes, transfer=transfer, primaries=primaries).shape == (1, 1, 3)
