"""How an update runs on its device: compiled and in bfloat16 on CUDA, on a processor in memory that it keeps.

On a processor compilation gains nothing and takes half a minute, and half precision is slower than single.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any, Literal

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # options of glibc's mallopt

Choice = Literal["auto", "on", "off"]
Precision = Literal["auto", "float32", "bfloat16"]


def compiled(function: Callable[..., Any], choice: Choice, device: torch.device) -> Callable[..., Any]:
    """Return the function, compiled when it is first called if that is asked for; `auto` asks for it on CUDA."""
    asked = choice == "on" or (choice == "auto" and device.type == "cuda")
    return torch.compile(function, dynamic=False) if asked else function


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return a context in which layers compute in a precision; `auto` is bfloat16 on CUDA, and float32 elsewhere.

    Parameters, outputs of networks (but for a decoder's pictures), the recurrence and losses stay float32; so bfloat16
    needs no scaling of losses.
    """
    half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def keep_memory() -> None:
    """Let this process keep what it frees for what it allocates next, up to 2 GiB; only glibc can.

    Otherwise large tensors go back to the system at once, and every update pays for the same pages again: a tenth of it
    at large sizes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
