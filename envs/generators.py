"""Generators of what environments draw on a device, as they are saved and loaded."""

import torch


def go_on(generator: torch.Generator, state: torch.Tensor) -> None:
    """Continue from a generator's state; where that is of another kind of device, draw from the own seed."""
    if state.shape == generator.get_state().shape:
        generator.set_state(state.cpu())
