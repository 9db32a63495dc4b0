"""Several agents as one: who acts where, who reads what, and what a resumed one does."""

import copy

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

import envs
from agents.crew import Crew, Member, updated
from agents.generators import seed_generators
from agents.infopower import InfoPower, InfoPowerConfig
from agents.replay import ReplayBuffer
from agents.sb3.ppo import SB3PPO, SB3PPOConfig
from agents.sb3.sac import SB3SAC, SB3SACConfig
from agents.schedule import Ratio
from agents.spaces import Spaces
from world_models.infopower import InfoPowerModelConfig

MODEL = InfoPowerModelConfig(embed=13, deter=11, stoch=7, hidden=17, critic=19)
SMALL = InfoPowerConfig(model=MODEL, hidden=17, batch=5, length=7, starts=11, horizon=3)
N = 7  # environments: 2 of InfoPower's, 4 of SAC's, 1 of PPO's
OWN = {"infopower": range(0, 2), "sac": range(2, 6), "ppo": range(6, 7)}


def make_crew(updates: tuple[float, float, float] = (1.0, 2.0, 0.25)) -> Crew:
    torch.manual_seed(0)
    spaces = Spaces({"state": (5,)}, 1)
    agents = {
        "infopower": InfoPower(
            spaces, InfoPowerConfig(model=MODEL, hidden=17, batch=5, length=7, starts=11, horizon=3)
        ),
        "sac": SB3SAC(spaces, SB3SACConfig(net_arch=(11,), batch_size=13)),
        "ppo": SB3PPO(spaces, SB3PPOConfig(net_arch=(11,), batch_size=5, n_epochs=1)),
    }
    members = {
        name: Member(agent, OWN[name], Ratio(ratio, 1), shared=0.5 * (name != "ppo"))
        for (name, agent), ratio in zip(agents.items(), updates, strict=True)
    }
    return Crew(members)


class Recorder:
    """Remember what an agent is shown, and say 1 less than its number."""

    def __init__(self, number: int, extra: str) -> None:
        self.number, self.extra = number, extra
        self.seen: list[Tensor] = []
        self.read: list[tuple[Tensor, Tensor]] = []

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({"count": torch.zeros(num_envs, 2)}, batch_size=[num_envs])

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        self.seen.append(timestep["state"][:, 0])
        values = {"action": torch.full((len(timestep), 1), self.number - 1.0), self.extra: timestep["state"] * 10}
        return TensorDict(values, batch_size=timestep.batch_size), carry + 1

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        self.read.append((replay.latest(1)["source"].flatten(), replay.sample(100, 1)[0]["source"].flatten()))
        return {"loss/it": torch.tensor(float(self.number))}

    def state_dict(self) -> dict[str, int]:
        return {"number": self.number}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.number = state_dict["number"]


def test_each_acts_in_its_own_environments_and_reads_what_it_may() -> None:
    one, two = Recorder(1, "first"), Recorder(2, "second")
    members = {
        "one": Member(one, range(0, 2), Ratio(1, 1), shared=0.75),
        "two": Member(two, range(2, 5), Ratio(0.5, 1), shared=0.0),
    }
    crew, replay = Crew(members), ReplayBuffer(20, 5)
    states = torch.tensor([[3.0], [5.0], [7.0], [11.0], [13.0]])
    timestep, carry = TensorDict({"state": states}, batch_size=[5]), crew.initial_carry(5)
    for _ in range(2):
        out, carry = crew.act(timestep, carry)
        replay.add(timestep.clone().update(out))
        metrics = crew.update(replay)
    assert [x.tolist() for x in one.seen] == [[3, 5]] * 2 and [x.tolist() for x in two.seen] == [[7, 11, 13]] * 2
    assert out["action"].flatten().tolist() == [0, 0, 1, 1, 1] and out["source"].tolist() == [0, 0, 1, 1, 1]
    assert out["first"].flatten().tolist() == [30, 50, 0, 0, 0]
    assert out["second"].flatten().tolist() == [0, 0, 70, 110, 130]
    assert carry["one"]["count"].tolist() == [[2, 2]] * 2 + [[0, 0]] * 3
    assert carry["two"]["count"].tolist() == [[0, 0]] * 2 + [[2, 2]] * 3
    assert [latest.tolist() for latest, _ in one.read] == [[0, 0]] * 2
    assert [latest.tolist() for latest, _ in two.read] == [[1, 1, 1]]  # at every second update
    for _, drawn in one.read:
        assert set(drawn[:75].tolist()) == {0, 1} and drawn[75:].tolist() == [0] * 25
    assert two.read[0][1].tolist() == [1] * 100
    assert metrics["one/loss/it"] == 1 and metrics["two/loss/it"] == 2
    assert sum(value.item() for name, value in metrics.items() if name.startswith("speed/share/")) == pytest.approx(1)


def test_carries_change_in_their_own_rows_and_what_does_not_change_is_not_copied() -> None:
    whole = TensorDict({"kept": torch.arange(5.0), "count": torch.zeros(5)}, batch_size=[5])
    before = whole[1:3]
    after = before.clone(recurse=False).set("count", torch.tensor([7.0, 11.0]))
    found = updated(whole, before, after, slice(1, 3))
    assert found["count"].tolist() == [0, 7, 11, 0, 0] and whole["count"].tolist() == [0] * 5
    assert found["kept"].data_ptr() == whole["kept"].data_ptr()


def test_another_number_of_environments_is_refused() -> None:
    with pytest.raises(ValueError, match="7 environments together, not in 3"):
        make_crew().initial_carry(3)


def play(
    crew: Crew, env: envs.BatchedEnv, replay: ReplayBuffer, timestep: TensorDict, carry: TensorDict
) -> tuple[TensorDict, TensorDict]:
    for _ in range(23):
        out, carry = crew.act(timestep, carry)
        replay.add(timestep.clone().update(out))
        timestep = env.step(out["action"])
        if replay.size > 10:
            crew.update(replay)
    return timestep, carry


def test_real_members_learn_side_by_side_and_a_resumed_crew_does_the_same() -> None:
    env, crew, replay = envs.make("cartpole_balance", N, threads=1, time_limit=9), make_crew(), ReplayBuffer(N * 50, N)
    timestep, carry = play(crew, env, replay, env.reset(), crew.initial_carry(N))
    assert set(replay.latest(3)["source"][:, 0].tolist()) == {0, 1, 2}
    other = make_crew()
    other.load_state_dict(copy.deepcopy(crew.state_dict()))
    for name, member in other.members.items():
        assert member.updates.credit == crew.members[name].updates.credit
    assert other.seconds == crew.seconds and min(other.seconds.values()) > 0
    seed_generators(1)
    first, _ = crew.act(timestep, carry)
    metrics = crew.update(replay)
    seed_generators(1)
    second, _ = other.act(timestep, carry)
    again = other.update(replay)
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    same = {name for name in metrics if not name.startswith("speed/")}
    assert same == {name for name in again if not name.startswith("speed/")}
    assert {"infopower/loss/actor", "sac/loss/actor"} <= same
    assert all(torch.equal(metrics[name], again[name]) for name in same)
    env.close()
