"""Numbers inside a page: typed arrays as base64, quantised to 16 bits where that is enough."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = 65535  # steps of a 16-bit number
KINDS = {"uint8": "u1", "uint16": "u2", "int32": "i4", "float32": "f4"}  # that a page can read, little-endian


@dataclass(frozen=True)
class Quantised:
    """Columns of numbers, each as 16-bit steps between its least and its largest value.

    steps (T, Q) uint16; low, high (Q,) float32. No value is off by more than (high - low) / 131,070, but for rounding.
    """

    steps: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def values(self) -> np.ndarray:
        """Return what a reader sees: (T, Q) float64."""
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        return low + self.steps * ((high - low) / LEVELS)


def quantise(values: np.ndarray) -> Quantised:
    """Quantise columns (T, Q) of finite numbers; raise ValueError for others."""
    if not np.isfinite(values).all():
        raise ValueError("numbers that are not finite cannot be quantised")
    low, high = values.min(0).astype(np.float32), values.max(0).astype(np.float32)  # (Q,), (Q,)
    width = np.where(high > low, high.astype(np.float64) - low, 1.0)
    steps = np.rint((values - low) / width * LEVELS).clip(0, LEVELS)
    return Quantised(steps.astype(np.uint16), low, high)


def array(values: Any, kind: str) -> dict[str, Any]:
    """Put numbers of any shape into a block that the page's `blocks.js` reads as a typed array."""
    numbers = np.ascontiguousarray(values, np.dtype("<" + KINDS[kind]))
    return {"kind": kind, "data": base64.b64encode(numbers.tobytes()).decode("ascii")}


def packed(quantised: Quantised) -> dict[str, Any]:
    """Put quantised columns (T, Q) into a block, row after row.

    Not compressed: differences from row to row, deflated, are but a sixth smaller.
    """
    limits = {"low": shortest(quantised.low), "high": shortest(quantised.high)}
    return {"rows": len(quantised.steps), **limits, "steps": array(quantised.steps, "uint16")}


def shortest(values: np.ndarray) -> list[float]:
    """Write float32 numbers (n,) so that reading them gives the same float32, in few digits."""
    return [float(str(value)) for value in values.astype(np.float32)]
