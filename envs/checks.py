"""Refuse names and numbers that make no sense, in one line that says what would."""

import difflib
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor


def check_choice(option: str, value: str, valid: Sequence[str]) -> None:
    """Raise ValueError for a name that is not valid, with the nearest valid one or with all of them."""
    if value not in valid:
        lower = {name.lower(): name for name in valid}
        begun = [name for name in valid if value and name.startswith(f"{value.lower()}_")]
        near = begun or [lower[name] for name in difflib.get_close_matches(value.lower(), lower, 1)]
        hint = f"did you mean {choice(near)}?" if near else f"choose one of {', '.join(valid)}"
        raise ValueError(f"unknown {option} {value!r}: {hint}")


def choice(names: Sequence[str]) -> str:
    """Name some of which one may be meant: 'a', 'b' or 'c'."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


def check_whole(least: int, **numbers: int | None) -> None:
    """Raise ValueError, with the option's name, for what is no whole number from `least` on; None means a default."""
    for option, value in numbers.items():
        if value is not None and not isinstance(value, Integral):
            raise ValueError(f"{option} must be a whole number, got {value!r}")
        if value is not None and value < least:
            raise ValueError(f"{option} must be at least {least}, got {value}")


def check_tensor(option: str, value: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor of a shape and, if named, a dtype; raise ValueError, with the option's name, for another."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{option} must be a torch.Tensor, not {type(value).__name__}")
    if value.shape != shape or (dtype is not None and value.dtype != dtype):
        of, found = ("", "") if dtype is None else (f" of {dtype}", f" of {value.dtype}")
        raise ValueError(f"{option} must be {shape}{of}, not {tuple(value.shape)}{found}")
    return value


def check_rows(option: str, rows: Tensor, num_envs: int) -> Tensor:
    """Return a mask (N,) bool; raise ValueError, with the option's name, for anything else."""
    return check_tensor(option, rows, (num_envs,), torch.bool)


def check_device(device: torch.device | str) -> torch.device:
    """Return a device that is here, CUDA first for "auto"; raise ValueError for any but cpu and a cuda that is here."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
    except RuntimeError:
        raise ValueError(f"unknown device {device!r}: take 'cpu', 'cuda' or 'auto'") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"the device must be cpu or cuda, got {device.type}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r}: torch finds no CUDA device here; take 'cpu'")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"device {str(device)!r}: torch finds {count} CUDA device{'s' * (count > 1)} here")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device
