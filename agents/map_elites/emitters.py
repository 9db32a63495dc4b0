"""Ways to make solutions, each with a share of what is evaluated, and what became of what they made."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Emitted(NamedTuple):
    """Solutions (n, P), and the measures (n, M) that they are meant to show: infinite where they are meant for none."""

    solution: Tensor
    target: Tensor


class Emitter(NamedTuple):
    """A way to make solutions.

    share  of the solutions that are made, beside the shares of the others that are ready
    emit   count -> that many solutions
    ready  whether it can make any yet; asked before each batch
    """

    share: float
    emit: Callable[[int], Emitted]
    ready: Callable[[], bool]


class Emitting(Protocol):
    """Something that makes solutions, and is told what became of them."""

    def emit(self, count: int) -> tuple[Emitted, Tensor]: ...

    def evaluated(self, emitter: Tensor, kept: Tensor) -> None: ...

    def metrics(self) -> dict[str, Tensor]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class Emitters:
    """Share batches of any size among emitters, so that their shares hold in the long run."""

    def __init__(self, emitters: Mapping[str, Emitter], device: torch.device | str) -> None:
        """Raise ValueError for a share below 0, and if all are 0."""
        for name, emitter in emitters.items():
            if not emitter.share >= 0:
                raise ValueError(f"the share of {name} must be at least 0, not {emitter.share}")
        if not any(emitter.share for emitter in emitters.values()):
            raise ValueError(f"one of the shares of {', '.join(emitters)} must be above 0")
        self.emitters, self.names = dict(emitters), tuple(emitters)
        self.credit = dict.fromkeys(emitters, 0.0)
        self.evaluations, self.insertions = torch.zeros(2, len(emitters), dtype=torch.int64, device=device)

    def emit(self, count: int) -> tuple[Emitted, Tensor]:
        """Return solutions (count, P), and the number of the emitter of each (count,): its place among `names`."""
        counts = self.split(count)
        made = [self.emitters[name].emit(n) for name, n in counts.items()]
        numbers = torch.tensor([self.names.index(name) for name in counts])
        emitter = numbers.repeat_interleave(torch.tensor(list(counts.values())))  # (count,)
        solution, target = (torch.cat(parts) for parts in zip(*made, strict=True))
        return Emitted(solution, target), emitter.to(solution.device)

    def split(self, count: int) -> dict[str, int]:
        """Say how many solutions each emitter makes: the one to which most is owed makes the next."""
        able = {name: e.share for name, e in self.emitters.items() if e.ready()}
        ready = {name: share for name, share in able.items() if share} or dict.fromkeys(able, 1.0)  # someone must
        assert ready, f"none of {', '.join(self.names)} is ready"
        total, counts = sum(ready.values()), dict.fromkeys(ready, 0)
        for _ in range(count):
            for name, share in ready.items():
                self.credit[name] += share / total
            name = max(ready, key=self.credit.__getitem__)
            self.credit[name] -= 1
            counts[name] += 1
        return {name: n for name, n in counts.items() if n}

    def evaluated(self, emitter: Tensor, kept: Tensor) -> None:
        """Take in of which emitters (n,) solutions were evaluated, and whether the archive kept them (n,)."""
        self.evaluations.index_add_(0, emitter, torch.ones_like(emitter))
        self.insertions.index_add_(0, emitter, kept.long())

    def metrics(self) -> dict[str, Tensor]:
        """Return evaluations, and how many of these the archive kept, of each emitter since the run began."""
        found = {}
        for i, name in enumerate(self.names):
            found[f"emitter/{name}/evaluations"] = self.evaluations[i]
            found[f"emitter/{name}/insertions"] = self.insertions[i]
            found[f"emitter/{name}/insertion_rate"] = self.insertions[i] / self.evaluations[i].clamp(min=1)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return what is owed to each emitter, and the counts."""
        counts = {"evaluations": self.evaluations.cpu().clone(), "insertions": self.insertions.cpu().clone()}
        return {"credit": dict(self.credit), **counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.credit = dict(state_dict["credit"])
        self.evaluations.copy_(state_dict["evaluations"])
        self.insertions.copy_(state_dict["insertions"])
