"""How precisely a CNN has to run on this machine: bfloat16 where that is quicker and its features bear it."""

from __future__ import annotations

import math
import os
import time
from functools import cache

import torch
from torch import Tensor

LEAST_COSINE = 0.999
"""What features in low precision must keep of their direction, on average over :func:`dead_leaves`."""


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where hardware has it and takes less time in it (CUDA from Ampere on, most CPUs with AVX512_BF16 or
    AMX), else float32.

    ``ONEDNN_MAX_CPU_ISA`` is respected: where it rules those instructions out, oneDNN would emulate them, slowly.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if limit and limit not in ("ALL", "DEFAULT") and "BF16" not in limit and "AMX" not in limit:
        return torch.float32
    there = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if device.type == "cpu" and there and _gains_from_bfloat16() else torch.float32


@cache
def _gains_from_bfloat16() -> bool:
    """Whether a product takes less time in bfloat16, by trying: with AVX512_BF16 an AMD processor (Zen 4) takes half
    the time of float32, an Intel one whose AMX is kept from a virtual machine twice as much.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other where the machine is busy
    took = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    try:
        for _ in range(4):
            for dtype in took:
                took[dtype] = min(took[dtype], _seconds_of_a_product(dtype))
    finally:
        torch.set_num_threads(threads)
    return took[torch.bfloat16] < took[torch.float32]


def _seconds_of_a_product(dtype: torch.dtype) -> float:
    square = torch.ones(256, 256, dtype=dtype)
    began = time.perf_counter()
    square @ square
    return time.perf_counter() - began


def can_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN's fused convolutions are there: torch has them for its compiler, without a guarantee."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    names = ("_convolution_pointwise", "_reorder_convolution_weight", "_is_mkldnn_bf16_supported")
    there = all(hasattr(torch.ops.mkldnn, name) for name in names)
    return there and (dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported())


def dead_leaves(count: int, *, height: int, width: int) -> Tensor:
    """``(count, height, width, 3)`` uint8: discs of all sizes and colours that hide each other, always the same.

    They have the statistics of photographs that matter here, edges and flat areas (Lee, Mumford and Huang 2001).
    """
    random = torch.Generator().manual_seed(0)
    rows = torch.arange(height).view(-1, 1)
    columns = torch.arange(width).view(1, -1)
    images = torch.empty(count, height, width, 3, dtype=torch.uint8)
    for image in images:
        for i in range(60):
            draw = torch.rand(6, generator=random)
            radius = 0.02 * min(height, width) / (0.05 + 0.95 * draw[0])  # many small discs, a few large ones
            near = (rows - draw[1] * height) ** 2 + (columns - draw[2] * width) ** 2 < radius**2
            image[near if i else slice(None)] = (draw[3:] * 255).to(torch.uint8)
    return images
