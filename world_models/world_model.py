"""What an agent that learns in imagination needs from a world model; every objective is one, in a file of its own."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from tensordict import TensorDict
from torch import Tensor, nn

from world_models.nets import Encoder
from world_models.rssm import Core, ObservationPosterior, RecurrentPosterior, Trace


class WorldModel(Protocol):
    """Encoder, recurrent state-space model, reward head, and the losses that train them; an `nn.Module`."""

    encoder: Encoder
    core: Core
    posterior: ObservationPosterior | RecurrentPosterior

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def requires_grad_(self, requires_grad: bool) -> Any: ...

    def observe(self, rows: TensorDict) -> Trace:
        """Filter rows (B, T) into posterior and prior states."""
        ...

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and 0-dim metrics; `reward` (B, T) is standardised."""
        ...

    def scales(self) -> Mapping[str, Tensor | float]:
        """Return the weight of each loss, under the same keys."""
        ...

    def reward(self, feat: Tensor) -> Tensor:
        """Predict the standardised reward (...) from features (..., F)."""
        ...


@runtime_checkable
class Constrained(Protocol):
    """A world model that weighs constraints by dual variables, which an optimiser of their own moves."""

    config: Any  # dual_lr: learning rate of the dual variables

    def dual_parameters(self) -> list[nn.Parameter]:
        """Return them, as log lambda."""
        ...

    def dual_loss(self, metrics: Mapping[str, Tensor]) -> Tensor:
        """Return what they descend, given the metrics of `losses`."""
        ...

    def duals(self) -> dict[str, Tensor]:
        """Return lambda by its name among the metrics: 0-dim."""
        ...


@runtime_checkable
class Empowering(Protocol):
    """A world model with an inverse model, whose answer the imagined reward adds."""

    window: int  # W: states that `action_evidence` needs up to the one that an action led to

    def action_evidence(self, deter: Tensor, stoch: Tensor, action: Tensor) -> Tensor:
        """Return ln q(a | z, z-) (H, N) of actions (H, N, A), in nats.

        deter (W-1+H, N, D), stoch (W-1+H, N, S): W-1 states up to the first action's, then where the H actions led.
        """
        ...

    def leak(self, rows: TensorDict) -> dict[str, Tensor]:
        """Return 0-dim measures of what the inverse model knows with the picture and without it."""
        ...


def primal_parameters(model: WorldModel) -> list[nn.Parameter]:
    """Return every parameter but the dual variables."""
    dual = {id(p) for p in model.dual_parameters()} if isinstance(model, Constrained) else set()
    return [p for p in model.parameters() if id(p) not in dual]
