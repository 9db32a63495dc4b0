"""What is said of codes that hold the state, the background or nothing; and a run that says so while it trains."""

import math
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from tensordict import TensorDict
from test_infopower_agent import CONFIG, A, make_agent, make_replay, timestep
from tiny import arguments, checkpoint_of, metrics
from torch import Tensor

import train
from agents.agent import Examinable
from agents.examination import ACTIONS, diagnose, elsewhere, foretold, neighbours, told, told_of_action
from agents.replay import ReplayBuffer
from world_models.latents import Gaussian
from world_models.rssm import Trace
from world_models.slices import shift

N, T, O = 6, 73, 5  # noqa: E741
PROBES = {f"probe/{target}/{code}" for target in ("state", "distractor") for code in ("stoch", "feat")}
GEOMETRY = {"geometry/similarity", "geometry/shuffled", "geometry/rank", "spectral/entropy"}


class Seeing(NamedTuple):
    """An agent whose code is a part of the rows."""

    name: str

    def examine(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        return {}

    def represent(self, rows: TensorDict) -> dict[str, Tensor]:
        return {"stoch": rows[self.name]}


class Sums:
    """A world whose state, and reward, is the sum of the actions of an episode; z is nothing."""

    def __init__(self, per_action: float = 1.0) -> None:
        self.core, self.per_action = self, per_action

    def step(self, deter: Tensor, stoch: Tensor, action: Tensor) -> Tensor:
        return deter + self.per_action * action

    def prior(self, deter: Tensor) -> "Nothing":
        return Nothing(deter[..., :0])

    def reward(self, feat: Tensor) -> Tensor:
        return feat.squeeze(-1)

    def observe(self, rows: TensorDict) -> Trace:
        nothing = rows["state"][..., :0]
        return Trace(nothing, rows["state"], nothing, Nothing(nothing), Nothing(nothing))  # type: ignore[arg-type]


class Nothing(NamedTuple):
    values: Tensor

    def mode(self) -> Tensor:
        return self.values


@pytest.fixture(scope="module")
def rows() -> TensorDict:
    torch.manual_seed(0)
    values = {"state": torch.randn(N, T, O), "distractor": torch.rand(N, T, 48), "nothing": torch.randn(N, T, O)}
    return TensorDict(values, batch_size=[N, T])


def diagnosed(name: str, rows: TensorDict) -> dict[str, float]:
    torch.manual_seed(1)
    return {key: value.item() for key, value in diagnose(Seeing(name), rows).items()}


def test_codes_that_are_the_state(rows: TensorDict) -> None:
    found = diagnosed("state", rows)
    assert found["probe/state/stoch"] > 0.999 and found["probe/distractor/stoch"] < 0.05
    assert found["geometry/similarity"] > 0.97 > found["geometry/shuffled"] + 0.1
    assert found["geometry/rank"] == pytest.approx(O, rel=0.02) and found["geometry/neighbours"] < 0.5
    assert found["spectral/state"] > 0.5 and abs(found["spectral/distractor"]) < 0.1


def test_codes_that_are_the_background(rows: TensorDict) -> None:
    found = diagnosed("distractor", rows)
    assert found["probe/distractor/stoch"] > 0.99 and found["probe/state/stoch"] < 0.05
    assert found["geometry/similarity"] == pytest.approx(found["geometry/shuffled"], abs=0.02)
    assert found["geometry/neighbours"] == pytest.approx(1, abs=0.08)


def test_codes_that_are_nothing(rows: TensorDict) -> None:
    found = diagnosed("nothing", rows)
    assert found["probe/state/stoch"] < 0.05 and found["probe/distractor/stoch"] < 0.05
    assert found["geometry/neighbours"] == pytest.approx(1, abs=0.08)
    assert abs(found["spectral/state"]) < 0.15


def test_without_a_background_nothing_is_said_of_it(rows: TensorDict) -> None:
    found = diagnosed("state", rows.exclude("distractor"))
    assert not [name for name in found if "distractor" in name or "neighbours" in name]


def test_neighbours_stand_in_front_of_other_backgrounds(rows: TensorDict) -> None:
    """Two backgrounds, by halves of each episode, and the code is the state: neighbours are of the other half."""
    rows = rows.clone()
    half = torch.arange(T) >= T // 2 + 1  # (T,) 37 rows of the one, 36 of the other
    rows["distractor"] = half.float().view(1, T, 1).expand(N, T, 48) + 0.001 * rows["distractor"]
    places = neighbours(Seeing("state"), rows, 5, 3)
    assert places.shape == (5, 4)
    side = half.repeat(N)[places]
    assert (side[:, 1:] != side[:, :1]).float().mean() > 0.9
    state = rows["state"].flatten(0, 1)
    near = (state[places[:, 1:]] - state[places[:, :1]]).norm(dim=-1).mean()
    assert near < 0.6 * torch.pdist(state).mean()
    allowed = elsewhere(rows["distractor"].flatten(0, 1), places[:, 0])
    assert allowed.gather(1, places[:, 1:]).all() and not allowed.gather(1, places[:, :1]).any()


def test_an_agent_says_what_its_latents_tell() -> None:
    """Untrained, its inverse model is uniform and tells nothing of the action; nothing is above its ceiling."""
    agent, replay = make_agent(), make_replay()
    torch.manual_seed(0)
    agent.updates = 1
    assert isinstance(agent, Examinable)
    found = {name: value.item() for name, value in agent.examine(replay).items()}
    assert abs(found["information/action"]) < 0.3
    for what in ("observation", "reward", "action"):
        assert found[f"information/{what}"] <= found[f"information/{what}_ceiling"]
    codes = agent.represent(replay.latest(31))
    model = CONFIG.model
    assert codes["stoch"].shape == (3, 31, model.stoch) and codes["feat"].shape == (3, 31, model.deter + model.stoch)


def test_information_about_rewards_is_of_rows_that_answer_an_action() -> None:
    agent, (rows, _) = make_agent(), make_replay().sample(5, 7)
    rows["is_first"][0, 0] = True
    ceiling = told(agent.model, agent.explore, rows)["information/reward_ceiling"].item()
    assert ceiling == pytest.approx(math.log((~rows["is_first"]).sum().item()))


class Answering:
    """An inverse model whose evidence is of a normal density about the last code; h, and z of those that act, is the
    number of the row.
    """

    window = 3

    def explore(self, feat: Tensor) -> Tensor:
        self.before, drawn = feat.split(1, 1)
        assert torch.equal(drawn, self.before)
        return torch.rand(len(feat), 5) * 2 - 1

    def action_evidence(self, deter: Tensor, stoch: Tensor, action: Tensor) -> Tensor:
        assert torch.equal(deter[:, ::ACTIONS], self.before + torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1))
        return -100 * (action - stoch[2:]).square().sum(-1)

    def leak(self, rows: TensorDict) -> dict[str, Tensor]:
        return {}


def test_a_code_that_is_the_action_before_tells_all_of_it() -> None:
    """256 actions are ln 256 nats; codes of other rows, and of rows that begin an episode, tell nothing."""
    torch.manual_seed(0)
    action, is_first = torch.rand(3, 211, 5) * 2 - 1, (torch.arange(211) % 13 == 0).expand(3, -1)
    rows = TensorDict({"action": action, "is_first": is_first}, batch_size=[3, 211])
    number, model = torch.arange(3.0 * 211).view(3, 211, 1), Answering()
    code = shift(action) * ~is_first.unsqueeze(-1)
    for stoch, nats in ((code, math.log(256)), (code.roll(1, 1), 0), (code.roll(1, 0), 0)):
        post = Gaussian(number, torch.zeros_like(number))
        found = told_of_action(model, model.explore, Trace(stoch, number, stoch, post, post), rows)
        assert found.item() == pytest.approx(nats, abs=0.1)


def test_rewards_are_foretold_from_actions_alone() -> None:
    torch.manual_seed(0)
    action = torch.randn(5, 7, 1)
    state = torch.cat([torch.zeros(5, 1, 1), action[:, :-1].cumsum(1)], 1)
    is_first = torch.zeros(5, 7, dtype=torch.bool)
    rows = TensorDict({"state": state, "action": action, "is_first": is_first}, batch_size=[5, 7])
    reward = state.squeeze(-1)
    assert foretold(Sums(), rows, reward).item() == pytest.approx(1)
    # a model on which actions have no effect stays where it was after the third row
    error, spread = (reward[:, 3:] - reward[:, 2:3]).square().sum(), (reward[:, 3:] - reward[:, 3:].mean()).square()
    assert foretold(Sums(0.0), rows, reward).item() == pytest.approx(1 - (error / spread.sum()).item(), abs=1e-5)
    rows["is_first"][2, 4] = True  # from here on another episode, which the model cannot know
    reward[2, 4:] = 100
    assert foretold(Sums(), rows, reward).item() == pytest.approx(1)
    assert foretold(Sums(), rows, torch.full((5, 7), 3.0)).item() == 0  # nothing to tell


def test_exploring_actions_are_those_of_acting() -> None:
    agent, step = make_agent(), torch.cat([timestep(first=True) for _ in range(71)])
    agent.updates = 1
    torch.manual_seed(2)
    out, carry = agent.act(step, agent.initial_carry(213))
    feat = torch.cat([carry["deter"], carry["stoch"]], -1)
    torch.manual_seed(2)
    torch.randn_like(carry["stoch"])  # the draw of z, before that of the action
    state = torch.get_rng_state()
    action = agent.actor(feat).action()
    expected = (action + CONFIG.exploration * torch.randn(213, A)).clamp(-1, 1)
    torch.set_rng_state(state)
    assert torch.equal(out["action"], expected) and torch.equal(agent.explore(feat), expected)


def test_diagnostics_while_training_change_nothing_else(tmp_path: Path) -> None:
    seen = ["--observation", "pixels", "--size", 24, "--distraction", "video", "--time-limit", 40, "--prefill", 60]
    for name, more in (("plain", []), ("diagnosed", ["--diagnostics"])):
        train.main(arguments(tmp_path / name, *seen, "--eval-every", 180, *more, steps=180))
    plain, diagnosed = (checkpoint_of(tmp_path / name) for name in ("plain", "diagnosed"))
    nets = [name for name in plain if name.startswith("/agent.pt")]
    assert nets and all(
        torch.equal(plain[n], diagnosed[n]) if isinstance(plain[n], Tensor) else plain[n] == diagnosed[n] for n in nets
    )
    last = metrics(tmp_path / "diagnosed")[-1]
    assert last.keys() - metrics(tmp_path / "plain")[-1].keys() >= PROBES | GEOMETRY | {"inverse/seen"}
    assert last["probe/state/feat"] <= 1
