"""SLIM (arXiv 2402.00823): skills without a task reward, each reward with its own critic.

A policy pi(a | s, z) holds a skill z, drawn from the unit sphere when an episode begins. Several rewards, such as
reach, discovery and safety, answer it; each has a critic, advantages are normalised critic by critic, and their
weighted sum is what PPO improves. Only the abstract could be read: the formulas are our choice. The set of rewards
makes the baselines: one critic on the sum, discovery alone, DIAYN, LSD, METRA.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from agents import ppo
from agents.normalize import FAR, RunningNormalizer
from agents.optimization import descend
from agents.replay import ReplayBuffer
from agents.slim.discovery import Discovery, DiscoveryConfig, Places, places_of
from agents.slim.metrics import BIN, FixedSkills, Scene, measured, play
from agents.slim.nets import SkillNets
from agents.slim.priors import drawn_skills, even_skills
from agents.slim.rewards import DISCOVERIES, POSITION, REWARDS, reward_set
from agents.spaces import Spaces

RETURNS = 200_000.0  # rows over which the returns' scale is averaged: they change as the policy does


@dataclass(frozen=True)
class SlimConfig:
    """Environment steps between updates are the run's: 1 / --train-ratio."""

    rewards: tuple[str, ...] = ("reach", "discovery", "safety")
    """What skills are for, as NAME or NAME:WEIGHT; one of discovery, metra, lsd, diayn makes them differ."""
    critics: Literal["separate", "sum"] = "separate"
    """A critic for each reward, or one for their weighted sum."""
    skill_dim: int = 2  # Numbers of a skill z.
    skill_steps: int = 0
    """Actions until another skill is drawn; 0 holds one for an episode."""
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    hidden: tuple[int, ...] = (512, 256, 256)  # Units of each layer of policy and critics.
    shared: int = 2
    """Hidden layers that policy and critics have in common, the first ones."""
    std: float = 1.0
    """Of the policy's normal density at first; it is learned."""
    lr: float = 1e-3
    """At first; it follows the policy's KL."""
    kl: float = 0.01
    """Of the policies before and after an update, wanted."""
    epochs: int = 5  # Passes over the steps of an update.
    minibatches: int = 4  # Of a pass.
    clip: float = 0.2  # Of the ratio of the policies' densities (PPO).
    entropy: float = 0.005  # Weight of the policy's entropy.
    value_scale: float = 1.0  # Weight of the critics' errors.
    discount: float = 0.99  # Of an action, whatever its repeat.
    lambda_: float = 0.95  # Of the advantages (GAE).
    max_grad_norm: float = 1.0  # At which a gradient is clipped.


class Slim:
    """Act by skill; learn, on policy, from every step since the last update."""

    def __init__(
        self, spaces: Spaces, config: SlimConfig, device: torch.device | str = "cpu", latent: Places | None = None
    ) -> None:
        """latent: of a world model, for phi to see if it is asked to."""
        c = self.config = config
        if "state" not in spaces.observations:
            raise ValueError("SLIM learns from states: take --observation state")
        if not 0 <= c.shared <= len(c.hidden):
            raise ValueError(f"--agent.shared must be from 0 to the {len(c.hidden)} layers of --agent.hidden")
        for name in ("skill_dim", "epochs", "minibatches"):
            if getattr(c, name) < 1:
                raise ValueError(f"--agent.{name.replace('_', '-')} must be at least 1, not {getattr(c, name)}")
        self.rewards = reward_set(c.rewards, spaces.signals, c.discovery.reads)
        self.critics = tuple(name for name, _ in self.rewards) if c.critics == "separate" else ("sum",)
        self.action_dim, self.device, self.unused = spaces.action_dim, torch.device(device), 0
        self.signals_position = POSITION in spaces.signals
        self.weights = torch.tensor([weight for _, weight in self.rewards], device=self.device)  # (R,)
        (observed,) = spaces.observations["state"]
        self.net = SkillNets(observed + c.skill_dim, spaces.action_dim, len(self.critics), c.hidden, c.shared, c.std)
        self.seen = RunningNormalizer(observed)
        self.returns = RunningNormalizer(len(self.critics), RETURNS)
        self.nets = nn.ModuleDict({"net": self.net, "seen": self.seen, "returns": self.returns}).to(self.device)
        self.parameters = list(self.net.parameters())
        # a tensor, so that the rate follows the KL without the host's waiting for the device
        rate = torch.tensor(c.lr, device=self.device)
        self.optimizer = torch.optim.Adam(self.parameters, rate, fused=True)
        learned = [name for name, _ in self.rewards if name in DISCOVERIES]
        self.discovery: Discovery | None = None
        if learned:
            self.places = places_of(c.discovery.reads, {**spaces.signals, "state": (observed,)}, latent)
            self.discovery = Discovery(learned[0], self.places.size, c.skill_dim, c.discovery, self.device)

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return no skills (N,); a first row draws them. `number` counts the skills of those that do not explore."""
        values = {
            "skill": torch.zeros(num_envs, self.config.skill_dim, device=self.device),
            "age": torch.zeros(num_envs, dtype=torch.int64, device=self.device),
            "number": torch.arange(num_envs, device=self.device),
        }
        return TensorDict(values, batch_size=[num_envs], device=self.device)

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,) by the skill that is held; the row keeps it, and what policy and critics thought.

        Skills are drawn at random while exploring, and else one after the other from an even spread.
        """
        due = timestep["is_first"]  # (N,)
        if self.config.skill_steps:
            due = due | (carry["age"] >= self.config.skill_steps)
        number = carry["number"]
        fresh = drawn_skills(carry["skill"]) if explore else even_skills(number, self.config.skill_dim)
        skill = torch.where(due.unsqueeze(-1), fresh, carry["skill"])  # (N, Z)
        mean, value = self.net(self.inputs(timestep["state"], skill))  # (N, A), (N, R)
        log_std = self.net.log_std
        raw = mean + log_std.exp() * torch.randn_like(mean) if explore else mean
        self.unused += explore
        out = {
            "action": raw.clamp(-1, 1),
            "raw_action": raw,
            "log_prob": ppo.log_density(raw, mean, log_std),
            "value": self.returns.restore(value),
            "skill": skill,
        }
        age = torch.where(due, 1, carry["age"] + 1)
        after = {"skill": skill, "age": age, "number": torch.where(due, number + len(number), number)}
        return TensorDict(out, batch_size=timestep.batch_size), TensorDict(after, batch_size=carry.batch_size)

    @torch.no_grad()
    def answer(self, timestep: TensorDict, skill: Tensor) -> Tensor:
        """Return the actions (N, A) by which skills (N, Z) answer a timestep (N,), without noise."""
        return self.net(self.inputs(timestep["state"], skill))[0].clamp(-1, 1)

    @torch.no_grad()
    def toward(self, place: Tensor, goal: Tensor) -> Tensor:
        """Return the skills (..., Z) that lead from places to goals (..., K); raise ValueError if nothing tells."""
        if self.discovery is None:
            raise ValueError(f"no reward among {', '.join(self.config.rewards)} tells where skills lead")
        return self.discovery.objective.toward(place, goal)

    def assess(self, envs: Scene) -> dict[str, Tensor]:
        """Play evenly spread skills, one an environment; return what they do, if the task signals positions."""
        if not self.signals_position:
            return {}
        skills = even_skills(torch.arange(envs.num_envs, device=self.device), self.config.skill_dim)
        found = measured([play(FixedSkills(self, skills), envs)], BIN)
        return {f"skills/{name}": torch.tensor(found[name]) for name in ("coverage", "reached", "diversity")}

    def inputs(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return what the nets read (..., O + Z)."""
        return torch.cat([self.seen(state).clamp(-FAR, FAR), skill], -1)

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Learn from the steps since the last update, if there are any; raise ValueError if some are forgotten.

        Ratios of densities begin at 1, but for the first step: its reward comes after the last update, and the policy
        before that one took it.
        """
        if self.unused > replay.size:
            raise ValueError(
                f"SLIM learns from all of the {self.unused} steps since its last update, and the replay holds "
                f"{replay.size} of each environment: raise --replay-size or --train-ratio"
            )
        rows = self.latest(replay, min(self.unused + 1, replay.size))  # (T + 1, N)
        self.unused = 0
        kept = (~rows["is_last"][:-1]).flatten().nonzero().squeeze(1)  # (K,) what follows a last row is a reset
        if not len(kept):
            return {}
        metrics = self.discover(rows, kept)
        reward = self.earned(rows, metrics)  # (T, N, R)
        advantage = self.advantages(rows, reward)  # (T, N, R)
        target = advantage + rows["value"][:-1]  # (T, N, R)
        metrics |= {f"value/{name}": rows["value"][..., r].mean() for r, name in enumerate(self.critics)}
        self.returns.update(pick(target, kept))
        weights = self.weights if self.config.critics == "separate" else torch.ones_like(self.weights[:1])  # (R,)
        summed = ppo.normalized(pick(advantage, kept)) @ weights  # (K,)
        state, skill, raw, log_prob, target = (
            pick(x, kept) for x in (*(rows[name][:-1] for name in ("state", "skill", "raw_action", "log_prob")), target)
        )
        metrics |= self.learn(self.inputs(state, skill), raw, log_prob, summed, self.returns(target))
        self.seen.update(state)
        return metrics

    def latest(self, replay: ReplayBuffer, length: int) -> TensorDict:
        """Return the latest rows (length, N), with the places that phi sees of them."""
        if self.discovery is None:
            return replay.latest(length).transpose(0, 1)
        rows = replay.latest(min(length + self.places.past, replay.size))  # (N, past + length)
        return rows.set("place", self.places.read(rows))[:, -length:].transpose(0, 1)

    def discover(self, rows: TensorDict, kept: Tensor) -> dict[str, Tensor]:
        """Learn phi from the steps (K,) that are kept of rows (T + 1, N)."""
        if self.discovery is None:
            return {}
        place = rows["place"]
        before, after, skill = (pick(x, kept) for x in (place[:-1], place[1:], rows["skill"][:-1]))
        metrics = self.discovery.learn(before, after, skill)
        self.discovery.see(before)
        return metrics

    def earned(self, rows: TensorDict, metrics: dict[str, Tensor]) -> Tensor:
        """Return what the steps between rows (T + 1, N) earned, (T, N, R) for R critics; means go to `metrics`."""
        columns, last = [], rows["is_last"][:-1]
        for name, _ in self.rewards:
            if name in DISCOVERIES:
                assert self.discovery is not None
                place = rows["place"]
                reward = self.discovery.reward(place[:-1], place[1:], rows["skill"][:-1])
            else:
                reward = REWARDS[name].read(rows[1:])
            columns.append(reward.masked_fill(last, 0.0))
            metrics[f"reward/{name}"] = columns[-1].sum() / (~last).sum()
        reward = torch.stack(columns, -1)  # (T, N, rewards)
        if self.config.critics == "sum":
            reward = (reward * self.weights).sum(-1, keepdim=True)
        return reward

    def advantages(self, rows: TensorDict, reward: Tensor) -> Tensor:
        """Return each critic's advantages (T, N, R) of the steps between rows (T + 1, N)."""
        value, after, cut = rows["value"][:-1], rows["value"][1:], rows["is_last"][1:]
        if self.config.skill_steps:
            # a skill ends as an episode does whose time is up: what it would have gone on to is its own value
            skill = rows["skill"]
            changed = (skill[1:] != skill[:-1]).any(-1)  # (T, N)
            with torch.no_grad():
                kept_on = self.returns.restore(self.net(self.inputs(rows["state"][1:], skill[:-1]).flatten(0, 1))[1])
            after = torch.where(changed.unsqueeze(-1), kept_on.view_as(after), after)
            cut = cut | changed
        c = self.config
        return ppo.advantages(reward, value, after, rows["is_terminal"][1:], cut, c.discount, c.lambda_)

    def learn(
        self, inputs: Tensor, raw: Tensor, log_prob: Tensor, advantage: Tensor, target: Tensor
    ) -> dict[str, Tensor]:
        """Take the epochs' gradient steps on (K, I), (K, A), (K,), (K,) and standardised returns (K, R)."""
        c = self.config
        columns = (inputs, raw, log_prob.unsqueeze(-1), advantage.unsqueeze(-1), target)
        sizes = [column.shape[1] for column in columns]
        rows = torch.cat(columns, 1)  # one matrix, so that a shuffle is one gather
        seen = []
        for _ in range(c.epochs):
            shuffled = rows.index_select(0, torch.randperm(len(rows), device=rows.device))
            for part in shuffled.tensor_split(min(c.minibatches, len(rows))):
                seen.append(self.step(*part.split(sizes, 1)))
        names = ("loss/surrogate", "loss/value", "slim/kl", "slim/grad_norm")
        means = torch.stack(seen).mean(0)
        rate, std = self.optimizer.param_groups[0]["lr"], self.net.log_std.detach().exp().mean()
        return dict(zip(names, means, strict=True)) | {"slim/learning_rate": rate.clone(), "slim/std": std}

    def step(self, inputs: Tensor, raw: Tensor, acted: Tensor, advantage: Tensor, target: Tensor) -> Tensor:
        """Take one gradient step on a minibatch; return both losses, the KL and the gradient's norm, (4,)."""
        c, log_std = self.config, self.net.log_std
        mean, value = self.net(inputs)
        log_ratio = ppo.log_density(raw, mean, log_std) - acted.squeeze(1)  # (K,)
        rate = self.optimizer.param_groups[0]["lr"]
        kl = ppo.divergence(log_ratio.detach())
        rate.copy_(ppo.adapted(rate, kl, c.kl))
        surrogate = ppo.surrogate_loss(log_ratio, advantage.squeeze(1), c.clip).mean()
        error = (value - target).square().mean()
        loss = surrogate + c.value_scale * error - c.entropy * ppo.entropy(log_std)
        norm = descend(self.optimizer, loss, self.parameters, c.max_grad_norm)
        return torch.stack([surrogate.detach(), error.detach(), kl, norm])

    def state_dict(self) -> dict[str, Any]:
        """Return nets, running statistics, optimisers and the count of steps not yet learned from."""
        return {
            "nets": self.nets.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "discovery": None if self.discovery is None else self.discovery.state_dict(),
            "unused": self.unused,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.nets.load_state_dict(state_dict["nets"])
        self.optimizer.load_state_dict(state_dict["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"].to(self.device)  # the optimiser leaves it where it was read
        if self.discovery is not None:
            self.discovery.load_state_dict(state_dict["discovery"])
        self.unused = state_dict["unused"]


def pick(values: Tensor, kept: Tensor) -> Tensor:
    """Take the steps (K,) that are kept, of values (T, N, ...): (K, ...)."""
    return values.flatten(0, 1).index_select(0, kept)
