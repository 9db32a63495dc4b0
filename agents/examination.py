"""What an agent's codes hold of rows that it did not learn from: numbers for curves and tables, rows for pictures.

Rows are whole episodes side by side, (N, T), with `state`, the simulator's, and, where something moves behind the
agent, `distractor`, what it shows. Both are for examination alone: no agent reads them.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.agent import Examinable, Policy, policies_of
from agents.evaluation import Environments, evaluate
from agents.replay import ReplayBuffer
from world_models import information
from world_models.diagnostics import effective_rank, nearest, probe, similarity, standardized
from world_models.rssm import Trace
from world_models.slices import shift, windows, windows_inside
from world_models.spectral import clusters, spectral_entropy, spectral_information
from world_models.world_model import Empowering, WorldModel

ROWS = 1000  # drawn for what compares every row with every other
CLASSES = 10  # of states and of backgrounds, as in the authors' code of the spectral information
TOLD = 2048  # rows that information is measured on
ACTIONS, ACTED = 256, 512  # actions that a bound chooses among, and rows that it is asked about


class Examined(Examinable, Policy, Protocol):
    """An agent that acts and can be examined."""


def check_examinable(agent: Policy, name: str) -> None:
    """Raise ValueError if an agent, by its name, has nothing that could be examined."""
    if not any(isinstance(policy, Examinable) for policy in policies_of(agent).values()):
        raise ValueError(f"--diagnostics asks what a world model's states hold, and {name} has no world model")


def examined(
    agent: Examined,
    envs: Environments,
    replay: ReplayBuffer,
    seed: int = 0,
    diagnoses: Literal["none", "quick", "all"] = "all",
) -> dict[str, Tensor]:
    """Let an agent explore for an episode in each of N environments and examine it on the rows, which `replay` keeps.

    `replay` holds an episode of each. Diagnoses need rows whose state is known. Global generators stay as they were.
    """
    replay.clear()
    evaluate(agent, envs, envs.num_envs, explore=True, watch=replay.add)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = agent.examine(replay)
        if diagnoses == "none":
            return found
        return found | diagnose(agent, replay.latest(replay.size), thorough=diagnoses == "all")


def slices_once(replay: ReplayBuffer, length: int) -> TensorDict:
    """Draw slices (B, T) that do not overlap: a bound on information counts a row that comes twice as one unknown."""
    rows = replay.latest(replay.size // length * length).unflatten(1, (-1, length)).flatten(0, 1)
    return rows[torch.randperm(len(rows))[: TOLD // length].to(rows.device)]


@torch.no_grad()
def diagnose(agent: Examinable, rows: TensorDict, thorough: bool = True) -> dict[str, Tensor]:
    """Measure an agent's codes of rows (N, T): 0-dim, NaN-free. Draws from torch's default generator.

    probe/TARGET/CODE      R^2 of a linear probe, on episodes that it was not fitted on, mean over the target's numbers
    geometry/similarity    of code and state, and .../shuffled, of codes in another order: what chance gives
    geometry/rank          directions that the code uses
    geometry/neighbours    distance of states whose codes are nearest in front of other backgrounds; 1: of any two
    spectral/entropy       of the code, in bits; if `thorough`, its information about state and distractor, in bits
    """
    codes = agent.represent(rows)
    targets = {name: rows[name] for name in ("state", "distractor") if name in rows}
    found = {
        f"probe/{target}/{name}": probe(code, value).nanmean()
        for target, value in targets.items()
        for name, code in codes.items()
    }
    chosen = torch.randperm(rows.numel())[:ROWS].to(rows.device)
    code, state = (x.flatten(0, 1)[chosen] for x in (codes["stoch"], rows["state"]))  # (K, S), (K, O)
    found["geometry/similarity"] = similarity(code, state)
    found["geometry/shuffled"] = similarity(code, state[torch.randperm(len(state)).to(state.device)])
    found["geometry/rank"] = effective_rank(code)
    found["spectral/entropy"] = spectral_entropy(code)
    if "distractor" in targets:
        found["geometry/neighbours"] = neighbour_distance(code, state, targets["distractor"].flatten(0, 1)[chosen])
    if thorough:
        generator = torch.Generator().manual_seed(0)
        for target, value in targets.items():
            labels = clusters(value.flatten(0, 1)[chosen], CLASSES, generator)
            found[f"spectral/{target}"] = spectral_information(code, labels, generator)
    return found


def elsewhere(distractor: Tensor, queries: Tensor) -> Tensor:
    """Say which rows show another background than the queries (Q,): (Q, K) bool from what they show (K, 48).

    Another one is farther away than half of all rows: our choice.
    """
    distance = torch.cdist(distractor[queries], distractor)  # (Q, K)
    return distance > distance.median(1, keepdim=True).values


def neighbour_distance(code: Tensor, state: Tensor, distractor: Tensor) -> Tensor:
    """Mean distance of states (K, O) to those with the nearest code (K, S) in front of another background, 0-dim.

    In mean distances of any two states: 0 where the code finds the same state behind every background, 1 where it finds
    anything.
    """
    queries = torch.arange(len(code), device=code.device)
    found = nearest(code, queries, elsewhere(distractor, queries))[1].squeeze(1)  # (K,)
    state = standardized(state)
    return (state - state[found]).norm(dim=1).mean() / torch.pdist(state).mean()


@torch.no_grad()
def neighbours(agent: Examinable, rows: TensorDict, queries: int, count: int) -> Tensor:
    """Return places (queries, 1 + count) in flattened rows (N * T): a row, and those nearest to its code elsewhere.

    Queries are spread evenly over episodes and time. Each episode has one neighbour at most, since its next row would
    show hardly anything else.
    """
    episodes, length = rows.shape
    code, distractor = (x.flatten(0, 1) for x in (agent.represent(rows)["stoch"], rows["distractor"]))
    chosen = torch.linspace(0, len(code) - 1, 2 * queries + 1)[1::2].long().to(code.device)  # (Q,)
    episode = torch.arange(len(code), device=code.device) // length  # (N * T,)
    own = episode == torch.arange(episodes, device=code.device).unsqueeze(1)  # (N, N * T)
    allowed = elsewhere(distractor, chosen).unsqueeze(1) & own  # (Q, N, N * T)
    pairs = nearest(code, chosen.repeat_interleave(episodes), allowed.flatten(0, 1))  # (Q * N, 1) each
    distances, places = (x.view(queries, episodes) for x in pairs)
    best = distances.topk(min(count, episodes), dim=1, largest=False).indices  # (Q, count)
    return torch.cat([chosen.unsqueeze(1), places.gather(1, best)], 1)


@torch.no_grad()
def told(model: WorldModel, explore: Callable[[Tensor], Tensor], rows: TensorDict) -> dict[str, Tensor]:
    """Bound I(O; Z), I(R; Z) and, of a model with an inverse model, I(A; Z' | past) from below, beside ceilings.

    `explore` draws the actions (..., A) that the policy of the rows (B, T) might have taken at features (..., F).
    """
    trace, first = model.observe(rows), rows["is_first"]
    answered = ~first.flatten()  # (B*T,)
    predicted = model.reward(trace.feat).flatten()[answered]
    found = {
        "information/observation": information.of_observation(trace.stoch.flatten(0, 1), flat(trace.post)),
        "information/observation_ceiling": torch.tensor(math.log(first.numel())),
        "information/reward": information.of_reward(predicted, rows["reward"].flatten()[answered]),
        "information/reward_ceiling": answered.sum().log(),
    }
    if isinstance(model, Empowering):
        found["information/action"] = told_of_action(model, explore, trace, rows)
        found["information/action_ceiling"] = torch.tensor(math.log(ACTIONS))
    return found


@torch.no_grad()
def foretold(model: WorldModel, rows: TensorDict, reward: Tensor) -> Tensor:
    """Return R^2, 0-dim, of rewards (B, T) that a model tells from actions alone, once it has seen half of a slice.

    reward: of the rows, as the model predicts it. From the half on nothing is sampled; what another episode earned does
    not count. Where all earned the same it is 0.
    """
    core, seen = model.core, rows.shape[1] // 2
    trace = model.observe(rows[:, :seen])
    deter, stoch = trace.deter[:, -1], trace.post.mode()[:, -1]  # (B, D), (B, S)
    predicted = []
    for t in range(seen, rows.shape[1]):
        deter = core.step(deter, stoch, rows["action"][:, t - 1])
        stoch = core.prior(deter).mode()
        predicted.append(model.reward(torch.cat([deter, stoch], -1)))  # (B,)
    same = rows["is_first"][:, seen:].cumsum(1) == 0  # (B, T/2)
    actual, error = reward[:, seen:][same], (torch.stack(predicted, 1) - reward[:, seen:])[same]
    variance = actual.var(correction=0)
    return torch.where(variance > 0, 1 - error.square().mean() / variance, 0.0)


def told_of_action(model: Empowering, explore: Callable[[Tensor], Tensor], trace: Trace, rows: TensorDict) -> Tensor:
    """Ask the inverse model which of ACTIONS actions was taken, in ACTED rows: I(A; Z' | past) >= 0-dim."""
    window, post = model.window, flat(trace.post)
    inside = windows_inside(rows["is_first"], window).flatten().nonzero().squeeze(1)  # places whose action has a past
    chosen = inside[torch.randperm(len(inside))[:ACTED].to(inside.device)]  # (Q,)
    before = type(post)(*(x[chosen - 1] for x in post))  # (Q, S)
    deter = trace.deter.flatten(0, 1)[chosen - 1]  # (Q, D)
    others = [explore(torch.cat([deter, before.sample()], -1)) for _ in range(ACTIONS - 1)]  # of (Q, A)
    taken = shift(rows["action"]).flatten(0, 1)[chosen]  # (Q, A)
    actions = torch.stack([taken, *others], 1)  # (Q, J, A)
    past = (windows(x, window).flatten(0, 1)[chosen].movedim(1, 0) for x in (trace.deter, trace.stoch))  # (W, Q, ...)
    deters, stochs = (x.repeat_interleave(ACTIONS, 1) for x in past)  # (W, Q * J, D), (W, Q * J, S)
    evidence = model.action_evidence(deters, stochs, actions.flatten(0, 1).unsqueeze(0))  # (1, Q * J)
    return information.of_action(evidence.view(-1, ACTIONS), actions)


def flat(post: Any) -> Any:
    """Return a distribution over (B, T, S) as one over (B*T, S)."""
    return type(post)(*(x.flatten(0, 1) for x in post))
