"""How an update runs on its device: compiled and in bfloat16 on CUDA, on a processor just as it is written.

On a processor compilation gains nothing and takes half a minute, and half precision is slower than single.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch

Choice = Literal["auto", "on", "off"]
Precision = Literal["auto", "float32", "bfloat16"]


def compiled(function: Callable[..., Any], choice: Choice, device: torch.device) -> Callable[..., Any]:
    """Return the function, compiled when it is first called if that is asked for; `auto` asks for it on CUDA."""
    asked = choice == "on" or (choice == "auto" and device.type == "cuda")
    return torch.compile(function, dynamic=False) if asked else function


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return a context in which layers compute in a precision; `auto` is bfloat16 on CUDA, and float32 elsewhere.

    Parameters, outputs of networks, the recurrence and losses stay float32; so bfloat16 needs no scaling of losses.
    """
    half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
