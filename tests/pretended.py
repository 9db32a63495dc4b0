"""A device that is not there: it computes on the processor, and refuses what an accelerator refuses.

Its tensors say that they are on `meta`, where torch keeps no numbers; here they have some. An operation that mixes
them with the processor's fails, as it would on CUDA, and whatever makes the host wait for a device is noted: a number
that is read, the places of a mask, a copy to it or from it. What is computed is what the processor computes.
"""

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
TO = nn.Module.to
DEVICE = torch.device("meta")
OURS = ("agents", "envs", "world_models")
# what a GPU's host waits for: sizes that depend on numbers, and numbers
WAITS = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
    aten._unique2.default,
    aten.unique_dim.default,
}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
waited: list[str] = []  # where of our code the host waited
states: list[Tensor] = []  # of generators of the device


class Pretended(Tensor):
    """A tensor of the device, around one of the processor."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "Pretended":
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        self = Tensor._make_wrapper_subclass(cls, held.shape, device=DEVICE, **layout)
        self.held = held
        return self

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return computed(function, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"Pretended{tuple(self.shape)}"

    @property
    def is_meta(self) -> bool:
        return False  # which would be without numbers

    def new_tensor(self, data: Any, **_: Any) -> Tensor:
        return torch.tensor(data, dtype=self.dtype, device=DEVICE)

    def __reduce_ex__(self, protocol: Any) -> Any:
        wait()
        return self.held.__reduce_ex__(protocol)

    def tolist(self) -> Any:
        wait()
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("a device's tensor has no NumPy array: it must be copied to the processor first")


class Pretence(TorchDispatchMode):
    """Within it, tensors can be made on the device."""

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return computed(function, args, kwargs or {})


class Generator(torch.Generator):
    """A generator of the processor, which says that it is of the device if it was asked to be."""

    def __new__(cls, device: torch.device | str = "cpu") -> "Generator":
        self = super().__new__(cls)
        self.named = torch.device(device)
        return self

    @property
    def device(self) -> torch.device:
        return self.named

    def get_state(self) -> Tensor:
        """Return, of the device, 16 bytes, as CUDA does; the processor's are 5,056."""
        if self.named != DEVICE:
            return super().get_state()
        states.append(super().get_state())
        return torch.tensor([len(states) - 1, 0]).view(torch.uint8)

    def set_state(self, state: Tensor) -> "Generator":
        if self.named == DEVICE:
            if state.numel() != 16:
                raise RuntimeError("RNG state is wrong size")
            state = states[int(state.view(torch.int64)[0])]
        return super().set_state(state)


def computed(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Compute what is asked of the device, or of the processor; raise RuntimeError for tensors of both."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    there = [x for x in tensors if isinstance(x, Pretended)]
    to = None if kwargs.get("device") is None else torch.device(kwargs["device"])
    if function is aten.copy_.default:
        if 0 < len(there) < len(tensors) and not (args[2:] or kwargs.get("non_blocking")):
            wait()
        function(*bare(args), **kwargs)
        return args[0]
    if function is aten._to_copy.default and to is not None:
        if bool(there) != (to == DEVICE) and not kwargs.get("non_blocking"):
            wait()
        copy = function(*bare(args), **kwargs | {"device": torch.device("cpu")})
        return Pretended(copy) if to == DEVICE else copy
    if not there and to != DEVICE:
        return function(*args, **kwargs)
    if any(x.dim() and not isinstance(x, Pretended) for x in tensors):
        if function not in INDEXING:
            raise RuntimeError(f"{function} of tensors on two devices: {tensors}")
        wait()  # for the copy of the indices
    masks = function in INDEXING and any(x is not None and x.dtype == torch.bool for x in args[1])
    if masks or function in WAITS:
        wait()
    here = kwargs | ({} if to is None else {"device": torch.device("cpu")})
    out = tree_map(lambda x: Pretended(x) if isinstance(x, Tensor) else x, function(*bare(args), **bare(here)))
    return return_and_correct_aliasing(function, args, kwargs, out) if there else out


def bare(values: Any) -> Any:
    return tree_map(lambda x: x.held if isinstance(x, Pretended) else x, values)


def wait() -> None:
    """Note that the host waits, and for which function of ours."""
    root = Path(__file__).parents[1]
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        named = not frame.name.startswith("<")  # a comprehension is a frame of its own up to Python 3.11
        if named and path.is_relative_to(root) and path.relative_to(root).parts[0] in OURS:
            waited.append(f"{path.relative_to(root)}:{frame.name}")
            return
    waited.append("outside")


def then_moved(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let what makes tensors of numbers make them on the processor first: torch would drop the numbers on `meta`."""
    return lambda *args, device=None, **options: make(*args, **options).to(device)


def moved(module: nn.Module, *where: Any, **options: Any) -> nn.Module:
    """Move a module as CUDA's are: its parameters stay the same objects, and keep the hooks on their gradients."""
    hooks = {parameter: list((parameter._backward_hooks or {}).values()) for parameter in module.parameters()}
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        TO(module, *where, **options)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    for parameter, kept in hooks.items():
        parameter._backward_hooks = None
        for hook in kept:
            parameter.register_hook(hook)
    return module


@contextlib.contextmanager
def pretended() -> Iterator[None]:
    """Let this process train on the device; `waited` holds where the host waits for it."""
    import envs
    import train

    supported = torch.utils._foreach_utils._get_fused_kernels_supported_devices
    waited.clear()
    with pytest.MonkeyPatch.context() as patch, Pretence():
        for module in (train, envs):
            patch.setattr(module, "check_device", lambda _: DEVICE)
        for name in ("torch.optim.adam", "torch.optim.optimizer"):
            patch.setattr(
                sys.modules[name],
                "_get_fused_kernels_supported_devices",
                lambda: [*supported(), DEVICE.type],
                raising=False,
            )
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
        patch.setattr(torch, "Generator", Generator)
        for name in ("tensor", "as_tensor"):
            patch.setattr(torch, name, then_moved(getattr(torch, name)))
        patch.setattr("agents.replay.available_memory", lambda _: 2**40)
        patch.setattr(nn.Module, "to", moved)
        yield
