"""How close two ways of computing the same must come, on any processor.

- **Exactly**: in one process, by the same operations on arrays of the same shape (a resumed training, a reloaded
  checkpoint, rows of one archive). Such tests use ``torch.equal`` or ``==``.
- **Within FLOAT32 of the scale**: the same sums in another order. A processor sums in its own order (AVX2, AVX-512,
  AMX), and folding or batching changes it too. The error belongs to the scale of the map, not to an element, which may
  be the small rest of large sums: Intel with AMX and AVX2 alone differ by 2.5e-5 of a map's largest value. A wrong step
  differs by a tenth or more, so 2e-4 tells the two apart with room on both sides.
- **Within BFLOAT16 of the scale**: eight bits of mantissa round each value by 4e-3; sums of rounded values over a few
  layers stay within 2e-2. Features in bfloat16 are compared by their cosine instead where they go on to the decoder:
  0.998 for each picture, 0.999 on average (what ``vision/precision.py`` promises).
- Small modules of a few dozen values (attention, GRU step, decoder) are compared with ``torch.testing.assert_close``'s
  own bounds for their type: float32 1.3e-6 relative and 1e-5 absolute where values are of order one, a hundred times
  what another order of a few dozen sums gives; float64 against plain numpy 1e-12.
- A caption's score after features in bfloat16 and batches of another shape: 2e-3, where neighbours in an n-best list
  differ by 1e-2 and more.
"""

from __future__ import annotations

from torch import Tensor

FLOAT32, BFLOAT16 = 2e-4, 2e-2


def assert_same(found: Tensor, expected: Tensor, *, within: float = FLOAT32) -> None:
    """Equal but for rounding: within a share of the largest absolute value of ``expected``."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    found, expected = found.detach(), expected.detach()
    error, scale = float((found - expected).abs().max()), float(expected.abs().max())
    assert error <= within * scale, f"differs by {error:.2g} where values reach {scale:.2g}"
