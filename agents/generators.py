"""The global random generators, seeded and saved together."""

import random
from typing import Any, cast

import numpy as np
import torch


def seed_generators(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def own_generator(device: torch.device | str) -> torch.Generator:
    """Return a generator on a device, whose seed is the global generator's next number."""
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, ())))


def go_on(generator: torch.Generator, state: torch.Tensor) -> None:
    """Continue from a generator's state; where that is of another kind of device, keep the own seed."""
    if state.shape == generator.get_state().shape:
        generator.set_state(state.cpu())


def generators_state() -> dict[str, Any]:
    """Return their states in types that `torch.load(weights_only=True)` reads."""
    name, keys, *rest = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state(legacy=True))
    return {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_generators_state(state: dict[str, Any]) -> None:
    """Continue from `generators_state`."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
