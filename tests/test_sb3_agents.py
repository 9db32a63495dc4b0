"""stable-baselines3's PPO and SAC as our agents, against stable-baselines3 itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sb3_views import scripted, view
from scripted import Scripted
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.buffers import ReplayBuffer as TheirReplayBuffer
from stable_baselines3.common.callbacks import CallbackList
from tensordict import TensorDict
from tiny import differing, metrics, refused

import envs
import envs.sb3
import train
from agents.evaluation import RandomPolicy, evaluate
from agents.replay import ReplayBuffer
from agents.sb3.ppo import SB3PPO, SB3PPOConfig
from agents.sb3.sac import SB3SAC, SB3SACConfig
from agents.spaces import Spaces

QUIET = -20.0  # the logarithm of a deviation that moves no action


def play(agent: SB3PPO | SB3SAC, env: Any, steps: int) -> ReplayBuffer:
    """Act and store, as the trainer does."""
    replay = ReplayBuffer(200 * env.num_envs, env.num_envs)
    timestep, carry = env.reset(), agent.initial_carry(env.num_envs)
    for _ in range(steps):
        out, carry = agent.act(timestep, carry)
        replay.add(timestep.clone().update(out))
        timestep = env.step(out["action"])
    return replay


def quiet_ppo(shapes: dict[str, tuple[int, ...]], action_dim: int) -> SB3PPO:
    torch.manual_seed(0)
    agent = SB3PPO(Spaces(shapes, action_dim), SB3PPOConfig(gamma=0.9, gae_lambda=0.8, batch_size=7))
    agent.algorithm.policy.log_std.data.fill_(QUIET)
    return agent


@pytest.mark.parametrize("task", ["scripted", "cheetah_run"])
def test_ppo_learns_from_what_stable_baselines3_would_collect(task: str) -> None:
    """A second implementation: its own `collect_rollouts`, with the same policy, from the same starts.

    Ours has a row more for each end of an episode, of which the environments of the script have 10 in 17 steps.
    """
    steps, options = 17, {"seed": 3, "time_limit": 5}
    env = Scripted() if task == "scripted" else envs.make(task, 3, **options)
    agent = quiet_ppo(env.observation_shapes, env.action_dim)
    theirs = PPO("MlpPolicy", scripted() if task == "scripted" else view(task, 3, **options), n_steps=steps,
                 gamma=0.9, gae_lambda=0.8, batch_size=steps)  # fmt: skip
    theirs.policy.load_state_dict(agent.algorithm.policy.state_dict())
    _, callback = theirs._setup_learn(1000, CallbackList([]))
    theirs.collect_rollouts(theirs.env, callback, theirs.rollout_buffer, steps)
    longest = play(agent, env, 2 * steps).latest(2 * steps)
    for n in range(3):
        # of environment n, as many rows as hold its first `steps` transitions and what follows them
        transitions = (~longest["is_last"][n]).cumsum(0)
        rows = longest[n : n + 1, : int((transitions <= steps).sum()) + 1]
        rows = rows if not rows["is_last"][0, -2] else rows[:, :-1]
        ours = agent.rollout(rows)
        assert (ours.buffer_size, ours.n_envs) == (steps, 1) and ours.full and ours.generator_ready
        for name in ("observations", "actions", "values", "advantages", "returns"):
            expected = getattr(theirs.rollout_buffer, name)[:, n].reshape(steps, -1)
            np.testing.assert_allclose(getattr(ours, name).reshape(steps, -1), expected, rtol=1e-4, atol=1e-5)


def test_advantages_by_hand() -> None:
    """Two steps, an end by time, a reset, one step, an end by termination; discount 1/2, lambda 1/2.

    Values 1 2 3 | 5 6; rewards 10 20 | 40:
    the second step: 20 + 3/2 - 2 = 19.5, the first: 10 + 2/2 - 1 + 19.5/4 = 14.875, the third: 40 - 5 = 35.
    """
    agent = SB3PPO(Spaces({"state": (2,)}, 1), SB3PPOConfig(gamma=0.5, gae_lambda=0.5))
    flags = {"is_first": [1, 0, 0, 1, 0], "is_last": [0, 0, 1, 0, 1], "is_terminal": [0, 0, 0, 0, 1]}
    values = {name: torch.tensor([flag], dtype=torch.bool) for name, flag in flags.items()}
    values |= {"reward": torch.tensor([[0.0, 10, 20, 0, 40]]), "value": torch.tensor([[1.0, 2, 3, 5, 6]])}
    values |= {"log_prob": torch.arange(5.0).unsqueeze(0), "raw_action": torch.arange(5.0).view(1, 5, 1)}
    values |= {"state": torch.arange(10.0).view(1, 5, 2)}
    buffer = agent.rollout(TensorDict(values, batch_size=[1, 5]))
    assert buffer.advantages.flatten().tolist() == [14.875, 19.5, 35]
    assert buffer.returns.flatten().tolist() == [15.875, 21.5, 40]
    assert buffer.observations.tolist() == [[0, 1], [2, 3], [6, 7]]
    assert buffer.actions.flatten().tolist() == buffer.log_probs.flatten().tolist() == [0, 1, 3]


def test_ppo_uses_every_step_once() -> None:
    env = Scripted()
    agent = quiet_ppo(env.observation_shapes, 1)
    lengths, rollout = [], agent.rollout
    agent.rollout = lambda rows: lengths.append(rows.shape) or rollout(rows)  # type: ignore[method-assign]
    replay = play(agent, env, 10)
    assert agent.update(replay) and agent.update(replay) == {}
    timestep, carry = env.reset(), agent.initial_carry(3)
    for _ in range(4):
        out, carry = agent.act(timestep, carry)
        agent.act(timestep, carry, explore=False)  # as an evaluation does
        replay.add(timestep.clone().update(out))
        timestep = env.step(out["action"])
    agent.update(replay)
    assert lengths == [(3, 10), (3, 5)]  # the second begins with the row that the first ended with
    with pytest.raises(ValueError, match="of the 11 steps since its last update, and the replay holds 7 of each"):
        short, agent.unused = ReplayBuffer(21, 3), 11
        for row in replay.latest(9).unbind(1):
            short.add(row)
        agent.update(short)


def test_sac_draws_the_transitions_that_stable_baselines3_would_store() -> None:
    """A second implementation: its replay buffer, filled by its own loop's rules from its view."""
    env, ours = scripted(), ReplayBuffer(60, 3)
    theirs = TheirReplayBuffer(30, env.observation_space, env.action_space, device="cpu", n_envs=3)
    observation = env.reset()
    for t in range(10):
        action = np.full((3, 1), t / 10, np.float32)
        after, reward, done, infos = env.step(action)
        following = after.copy()
        for n in np.flatnonzero(done):
            following[n] = infos[n]["terminal_observation"]
        theirs.add(observation, following, action, reward, done, infos)
        observation = after
    # the same for our rows: each environment's actions are 0, .1, .2, ... over its own transitions
    script, counts = Scripted(), np.zeros(3)
    timestep = script.reset()
    for _ in range(18):
        ours.add(timestep.clone().update({"action": torch.tensor(counts / 10, dtype=torch.float32).unsqueeze(1)}))
        counts += ~timestep["is_last"].numpy()
        timestep = script.step(torch.zeros(3, 1))
    agent = SB3SAC(Spaces({"state": (2,)}, 1), SB3SACConfig())
    agent.batches.replay = ours
    torch.manual_seed(0)
    drawn = agent.batches.sample(20_000)
    rows, counted = torch.cat([x.float() for x in drawn[:5]], 1).unique(dim=0, return_counts=True)
    everything = theirs._get_samples(np.repeat(np.arange(10), 60))
    stored = torch.cat([x.float() for x in everything[:5]], 1).unique(dim=0)
    assert len(stored) == 30 and (stored[:, 5] == 1).sum() == 3  # the second environment ended three times
    # ours went further; of each environment the first ten transitions are theirs
    assert torch.equal(rows[rows[:, 2] < 0.95], stored)
    expected = 20_000 / len(rows)
    assert len(rows) == 3 * 17 - sum(int(end) for end in ours.latest(18)["is_last"][:, :-1].sum(1))
    assert ((counted - expected).abs() < 5 * expected**0.5).all()


def test_sac_takes_the_gradient_step_that_stable_baselines3_takes() -> None:
    """From the same nets, batch and noise, for two steps: the same nets."""
    torch.manual_seed(0)
    config = SB3SACConfig(net_arch=(11,), batch_size=13)
    agent = SB3SAC(Spaces({"state": (2,)}, 1), config)
    replay = play(agent, Scripted(), 9)
    theirs = SAC("MlpPolicy", scripted(), policy_kwargs={"net_arch": [11]}, batch_size=13, device="cpu")
    theirs._setup_learn(10)
    theirs.policy.load_state_dict(agent.algorithm.policy.state_dict())
    theirs.replay_buffer = agent.batches  # type: ignore[assignment]
    state = torch.get_rng_state()
    for _ in range(2):
        found = agent.update(replay)
    torch.set_rng_state(state)
    theirs.train(gradient_steps=2, batch_size=13)
    one, two = (algorithm.policy.state_dict() for algorithm in (agent.algorithm, theirs))
    assert all(torch.equal(one[name], two[name]) for name in two)
    assert torch.equal(agent.algorithm.log_ent_coef, theirs.log_ent_coef)
    assert found.keys() == {"loss/actor", "loss/critic", "loss/ent_coef", "sac/ent_coef"}
    assert all(value.shape == () and value.isfinite() for value in found.values())


def test_sac_acts_at_random_until_it_learns() -> None:
    torch.manual_seed(0)
    agent = SB3SAC(Spaces({"state": (2,)}, 1), SB3SACConfig(net_arch=(11,), batch_size=13))
    row, carry = Scripted().reset(), agent.initial_carry(3)
    actions = torch.cat([agent.act(row, carry)[0]["action"] for _ in range(300)])
    assert actions.std().item() == pytest.approx(3**-0.5, abs=0.03)
    agent.update(play(agent, Scripted(), 5))
    greedy = [agent.act(row, carry, explore=False)[0]["action"] for _ in range(2)]
    assert torch.equal(*greedy) and not torch.equal(agent.act(row, carry)[0]["action"], greedy[0])


SCENE = "--task cartpole_balance --action-repeat 2 --num-envs 3 --time-limit 40 --device cpu --threads 1 --prefill 60"
PACE = "--eval-episodes 2 --eval-every 300 --log-every 120 --checkpoint-every 300"
SMALL = {
    "sb3-ppo": "--train-ratio .0152 --agent.net-arch 7 5 --agent.batch-size 13 --agent.n-epochs 2",
    "sb3-sac": "--train-ratio .05 --agent.net-arch 7 5 --agent.batch-size 13",
}


def arguments(name: str, run: Path, *more: Any, steps: int = 600) -> list[str]:
    line = [name, "--run", str(run), "--steps", str(steps), *f"{SCENE} {PACE} {SMALL[name]}".split()]
    return [*line, *map(str, more)]


@pytest.mark.parametrize("name", SMALL)
def test_a_resumed_run_ends_as_the_uninterrupted_one(name: str, tmp_path: Path) -> None:
    train.main(arguments(name, tmp_path / "whole", steps=900))
    train.main(arguments(name, tmp_path / "run"))
    train.main([name, "--run", str(tmp_path / "run"), "--resume", "--steps", "900"])
    assert differing(tmp_path / "run", tmp_path / "whole") == []
    last = metrics(tmp_path / "run")[-1]
    assert "eval/return" in last and sum(key.startswith("loss/") for key in last) >= 3
    agent, step = train.load_agent(tmp_path / "run", train.load_config(tmp_path / "run"), train.make_envs(
        train.load_config(tmp_path / "run")))  # fmt: skip
    assert step == 900 and agent.algorithm._n_updates > 10  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SMALL)
def test_pixels(name: str, tmp_path: Path) -> None:
    scene = ["--observation", "pixels", "--size", 36, "--distraction", "noise", "--prefill", 24, "--train-ratio", 0.05]
    train.main(arguments(name, tmp_path / "run", *scene, "--distraction-window", 32, "--log-every", 60, steps=66))
    assert any("loss/actor" in row or "loss/value" in row for row in metrics(tmp_path / "run"))


@pytest.mark.parametrize(
    ("name", "words", "line"),
    [
        ("sb3-ppo", ["--agent.batch-size", 1], "--agent.batch-size must be at least 2, not 1"),
        ("sb3-ppo", ["--agent.n-epochs", 0], "--agent.n-epochs must be at least 1, not 0"),
        ("sb3-sac", ["--agent.batch-size", 0], "--agent.batch-size must be at least 2, not 0"),
        ("sb3-sac", ["--agent.ent-coef", "atuo"], "could not convert string to float: 'atuo'"),
        ("sb3-sac", ["--distraction", "video"], "the distraction 'video' needs pixels"),
        (
            "sb3-ppo",
            ["--observation", "pixels", "--size", 35],
            "--size must be at least 36 for stable-baselines3's convolutions, not 35",
        ),
        ("sb3-ppo", ["--replay-size", 30], "PPO learns from all of the 20 steps since its last update"),
    ],
)
def test_wrong_options_are_one_line(
    name: str, words: list[Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(train.main, arguments(name, tmp_path / "run", *words), capsys).startswith(line)


@pytest.mark.learning
def test_sac_balances_the_pole(tmp_path: Path) -> None:
    """Reward is at most 1 a control step: 250 an episode."""
    scene = "--task cartpole_balance --action-repeat 4 --time-limit 250 --device cpu --threads 1"
    pace = "--steps 14000 --prefill 2000 --train-ratio .2 --eval-every 0 --eval-episodes 8 --checkpoint-every 0"
    learning = "--agent.net-arch 64 64 --agent.batch-size 128 --agent.learning-rate 2e-3 --agent.ent-coef auto_0.1"
    horizon = "--agent.gamma .97 --agent.tau .02"
    train.main(["sb3-sac", "--run", str(tmp_path / "run"), *f"{scene} {pace} {learning} {horizon}".split()])
    config = replace(train.load_config(tmp_path / "run"), seed=1)
    random = evaluate(RandomPolicy(1, "cpu", 0), train.make_envs(config, num_envs=8), 8)
    assert metrics(tmp_path / "run")[-1]["eval/return"] > 235 > 1.5 * random.max()
