"""What the agent controls enters the code first, in a world small enough to learn in seconds, where no reward comes."""

import math
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from world_models.diagnostics import probe
from world_models.infopower import InfoPowerModelConfig
from world_models.infopower_plus import InfoPowerPlusModelConfig
from world_models.objectives import make_model
from world_models.world_model import primal_parameters

SIZES: dict[str, Any] = {"embed": 32, "deter": 16, "stoch": 4, "hidden": 32, "critic": 16, "posterior": "observation"}
INFOPOWER: dict[str, Any] = SIZES | {"bound": "infonce", "free_nats": 0}  # a nat would hold much of so little


def make_scene(seed: int, batch: int = 32, length: int = 12) -> tuple[TensorDict, Tensor, Tensor]:
    """Rows that mix what an action moves, (B, T, 1), with six louder numbers that move by themselves, (B, T, 6)."""
    g = torch.Generator().manual_seed(seed)
    action = torch.rand(batch, length, 1, generator=g) * 2 - 1
    agent = [0.5 * torch.randn(batch, 1, generator=g)]
    background = [torch.randn(batch, 6, generator=g)]
    for t in range(length - 1):
        agent.append(0.7 * agent[-1] + 0.7 * action[:, t])
        background.append(0.9 * background[-1] + math.sqrt(0.19) * torch.randn(batch, 6, generator=g))
    parts = torch.stack(agent, 1), torch.stack(background, 1)
    mixing = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(0)))[0]
    observation = torch.cat([parts[0], 3 * parts[1]], -1) @ mixing
    first = torch.zeros(batch, length, dtype=torch.bool)
    first[:, 0] = True
    values = {"state": observation, "action": action, "reward": torch.zeros(batch, length), "is_first": first}
    return TensorDict(values, batch_size=[batch, length]), *parts


@pytest.mark.learning
@pytest.mark.parametrize(
    ("config", "agent", "background"),
    [
        (InfoPowerModelConfig(**INFOPOWER), True, False),
        (InfoPowerModelConfig(**INFOPOWER, inverse_scale=0.0, dual_init=1.0), False, True),
        (InfoPowerPlusModelConfig(**SIZES), True, False),
        (InfoPowerPlusModelConfig(**SIZES, inverse_scale=0.0), False, False),
    ],
    ids=["infopower", "information alone, at the KL's weight", "infopower-plus", "infopower-plus without empowerment"],
)
def test_what_is_controlled_enters_the_code_first(config: Any, agent: bool, background: bool) -> None:
    """With empowerment z holds the agent and nothing else; I(O; Z) alone holds what there is most of."""
    torch.manual_seed(0)
    model = make_model({"state": (7,)}, 1, config)
    optimizer = torch.optim.Adam(primal_parameters(model), 3e-3)
    for seed in range(300):
        rows = make_scene(seed)[0]
        losses, scales = model.losses(rows, rows["reward"])[0], model.scales()
        optimizer.zero_grad()
        torch.stack([scales[term] * loss.mean() for term, loss in losses.items()]).sum().backward()
        optimizer.step()
    rows, *parts = make_scene(1000, batch=64)
    with torch.no_grad():
        code = model.observe(rows).post.mode()
    held = [probe(code, part).mean().item() for part in parts]
    for r2, wanted in zip(held, (agent, background), strict=True):
        assert r2 > 0.3 if wanted else r2 < 0.1, held
