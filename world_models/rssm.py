"""Recurrent state-space model: a deterministic path h and a stochastic state z.

    deter       h_t = GRU(h_{t-1}, z_{t-1}, a_{t-1})          (B, D)
    prior       p(z_t | h_t)                                   (B, S)
    posterior   q(z_t | o_t, o_{t-1})  or  q(z_t | h_t, o_t)   (B, S)

A row t holds o_t and the action a_t that answers it. Where `is_first` is set, and at the start of a slice, h restarts
from a learned state that depends on nothing before. The recurrence is float32 under autocast too; in `rollout` cuDNN
multiplies in TF32 where torch lets it, as it does by default.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.latents import Distribution, Latent
from world_models.nets import full_precision, mlp
from world_models.slices import shift

CLOSED = -100.0  # logit of a gate that is shut for every float32


class Trace(NamedTuple):
    """What the model made of a slice of rows."""

    embed: Tensor  # (B, T, E)
    deter: Tensor  # (B, T, D)
    stoch: Tensor  # (B, T, S)
    post: Distribution  # (B, T, S)
    prior: Distribution  # (B, T, S)

    @property
    def feat(self) -> Tensor:
        return torch.cat([self.deter, self.stoch], -1)  # (B, T, F)


def gru_cell(of_input: Tensor, of_deter: Tensor, deter: Tensor) -> Tensor:
    """Return h' (B, D) = n + z (h - n) from what gates r, z, n read, (B, 3D) each: `torch.gru_cell` in a third as many
    operations, which are what a step costs that is this small.
    """
    size = deter.shape[-1]
    gates_x, new_x = of_input.split([2 * size, size], -1)
    gates_h, new_h = of_deter.split([2 * size, size], -1)
    reset, update = torch.sigmoid(gates_x + gates_h).chunk(2, -1)  # (B, D) each
    return torch.lerp(torch.tanh(torch.addcmul(new_x, reset, new_h)), deter, update)


class Core(nn.Module):
    """The deterministic path and the prior."""

    learned: Tensor  # (3D, X+1) where the GRU's input weights are free

    def __init__(self, action_dim: int, deter: int, latent: Latent, hidden: int) -> None:
        super().__init__()
        self.latent, self.deter, self.stoch, self.hidden = latent, deter, latent.size, hidden
        self.inputs = nn.Sequential(nn.Linear(latent.size + action_dim, hidden), nn.ELU())
        self.gru = nn.GRU(hidden + 1, deter, batch_first=True)  # the last input is the reset flag
        self.prior_net = mlp(deter, latent.outputs, hidden, layers=1)
        self.weights: list[nn.Parameter] = self.gru.all_weights[0]  # in a list, which torch.compile can look into
        weight = self.weights[0]  # (3D, X+1), gates r, z, n
        with torch.no_grad():
            weight[: 2 * deter, -1] = CLOSED  # flag 1: h' = n, and n does not read h
            weight[2 * deter :, -1] = 0.0
        learned = torch.ones_like(weight)
        learned[:, -1] = 0.0
        self.register_buffer("learned", learned, persistent=False)
        weight.register_hook(lambda gradient: gradient * self.learned)

    @property
    def feat(self) -> int:
        return self.deter + self.stoch

    def rollout(self, stoch: Tensor, action: Tensor, reset: Tensor) -> Tensor:
        """Return h_1..h_T (B, T, D) from z_{t-1} (B, T, S), a_{t-1} (B, T, A) and reset (B, T), in one fused call."""
        keep = (~reset).unsqueeze(-1).to(stoch.dtype)  # (B, T, 1)
        x = self.inputs(torch.cat([stoch, action], -1) * keep)  # (B, T, X)
        with full_precision(x):
            return self.gru(torch.cat([x.float(), 1 - keep], -1))[0]

    def step(self, deter: Tensor, stoch: Tensor, action: Tensor, reset: Tensor | None = None) -> Tensor:
        """Advance h by one step: (B, D), (B, S), (B, A), (B,) -> (B, D)."""
        joint = torch.cat([stoch, action], -1)
        of_input, of_deter, *biases = self.weights
        if reset is None:
            x, read = self.inputs(joint).float(), of_input[:, :-1]  # (B, X): nothing resets, no flag
        else:
            flag = reset.unsqueeze(-1).to(joint.dtype)  # (B, 1)
            x, read = torch.cat([self.inputs(joint * (1 - flag)).float(), flag], -1), of_input  # (B, X+1)
        with full_precision(x):
            return gru_cell(F.linear(x, read, biases[0]), F.linear(deter, of_deter, biases[1]), deter)

    def prior(self, deter: Tensor) -> Distribution:
        return self.latent(self.prior_net(deter))


class ObservationPosterior(nn.Module):
    """q(z_t | o_t, o_{t-1}): the code of the empowerment expectation; the whole recurrence is then one fused call.

    The paper writes q(z | o). One picture shows no velocity, and h would have to tell it from noisy samples of z, so
    the code reads the picture before as well (our choice); where there is none, the same picture twice.
    """

    def __init__(self, embed_dim: int, core: Core) -> None:
        super().__init__()
        self.net = mlp(2 * embed_dim, core.latent.outputs, core.hidden, layers=1)
        self.latent = core.latent

    def forward(self, embed: Tensor, previous: Tensor, deter: Tensor | None = None) -> Distribution:
        return self.latent(self.net(torch.cat([embed, embed - previous], -1)))

    def observe(self, core: Core, embed: Tensor, action: Tensor, reset: Tensor) -> Trace:
        previous = torch.where(reset.unsqueeze(-1), embed, shift(embed))  # (B, T, E)
        post = self(embed, previous)
        stoch = post.sample()  # (B, T, S)
        deter = core.rollout(shift(stoch), action, reset)  # (B, T, D)
        return Trace(embed, deter, stoch, post, core.prior(deter))


class RecurrentPosterior(nn.Module):
    """q(z | h, o), Algorithm 1 of the paper and Dreamer's: one step of Python a time step."""

    def __init__(self, embed_dim: int, core: Core) -> None:
        super().__init__()
        self.net = mlp(core.deter + embed_dim, core.latent.outputs, core.hidden, layers=1)
        self.latent = core.latent

    def forward(self, embed: Tensor, previous: Tensor, deter: Tensor) -> Distribution:
        return self.latent(self.net(torch.cat([deter, embed], -1)))

    def observe(self, core: Core, embed: Tensor, action: Tensor, reset: Tensor) -> Trace:
        deter = embed.new_zeros(len(embed), core.deter)  # (B, D)
        stoch = embed.new_zeros(len(embed), core.stoch)  # (B, S)
        deters, stochs, posts = [], [], []
        # what the first layer reads of pictures is one product for all steps, and its gradient as well
        first, rest = cast(nn.Linear, self.net[0]), self.net[1:]
        of_deter, of_embed = first.weight.split([core.deter, embed.shape[-1]], 1)
        seen = F.linear(embed, of_embed, first.bias)  # (B, T, hidden)
        for seen_t, action_t, reset_t in zip(seen.unbind(1), action.unbind(1), reset.unbind(1), strict=True):
            deter = core.step(deter, stoch, action_t, reset_t)
            post = self.latent(rest(seen_t + F.linear(deter, of_deter)))
            stoch = post.sample()
            deters.append(deter)
            stochs.append(stoch)
            posts.append(post)
        deter_t = torch.stack(deters, 1)  # (B, T, D)
        return Trace(embed, deter_t, torch.stack(stochs, 1), self.latent.stack(posts), core.prior(deter_t))


POSTERIORS: dict[str, type[ObservationPosterior] | type[RecurrentPosterior]] = {
    "observation": ObservationPosterior,
    "recurrent": RecurrentPosterior,
}
