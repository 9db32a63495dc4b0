"""stable-baselines3's view of the environments, and our agents as its models."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_views import scripted, view
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import envs
import envs.sb3
from agents.evaluation import evaluate
from agents.infopower import InfoPower, InfoPowerConfig
from agents.sb3.ppo import SB3PPO, SB3PPOConfig
from agents.sb3.predict import Predictor
from agents.sb3.sac import SB3SAC, SB3SACConfig
from agents.spaces import Spaces
from world_models.infopower import InfoPowerModelConfig

NOTHING = np.zeros((3, 1), np.float32)


def test_ends_by_hand() -> None:
    """Episodes of 2, 3 and 5 steps; only the second environment's ends are terminal."""
    env = scripted()
    assert env.reset().tolist() == [[1, 0], [1, 0], [1, 0]]
    answers = [env.step(NOTHING) for _ in range(3)]
    assert [a[0].tolist() for a in answers] == [
        [[1, 1], [1, 1], [1, 1]],
        [[2, 0], [1, 2], [1, 2]],
        [[2, 1], [2, 0], [1, 3]],
    ]
    assert [a[1].tolist() for a in answers] == [[1, 11, 21], [2, 12, 22], [1, 13, 23]]
    assert [a[2].tolist() for a in answers] == [[False] * 3, [True, False, False], [False, True, False]]
    assert answers[0][3] == [{"TimeLimit.truncated": False}] * 3
    assert answers[1][3][0]["TimeLimit.truncated"] and answers[1][3][0]["terminal_observation"].tolist() == [1, 2]
    assert not answers[2][3][1]["TimeLimit.truncated"]
    assert answers[2][3][1]["terminal_observation"].tolist() == [1, 3]


def test_measures_are_those_of_the_episodes_end_at_its_end() -> None:
    """They count steps, of episodes of 2, 3 and 5."""
    env = scripted(measures=True)
    env.reset()
    infos = [env.step(NOTHING)[3] for _ in range(4)]
    assert [[info["measures"].item() for info in row] for row in infos] == [[1, 1, 1], [2, 2, 2], [1, 3, 3], [2, 1, 4]]


def test_one_environment_is_their_own_vector_of_one() -> None:
    """A second implementation: stable-baselines3's DummyVecEnv over our single environment."""
    options: dict[str, Any] = {"pixels": True, "state": True, "size": 36, "time_limit": 4, "distraction": "noise"}
    options |= {"measures": True, "signals": True, "distractor": True}  # which are in the infos
    ours = view("walker_walk", 1, **options)
    theirs = DummyVecEnv([lambda: gymnasium.make("empower/walker_walk-v0", **options)])
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    for env in (ours, theirs):
        env.seed(11)
    np.testing.assert_equal(dict(ours.reset()), dict(theirs.reset()))
    for action in np.random.default_rng(0).uniform(-1, 1, (10, 1, 6)).astype(np.float32):
        one, two = ours.step(action), theirs.step(action)
        np.testing.assert_equal(dict(one[0]), dict(two[0]))
        np.testing.assert_allclose(one[1], two[1])
        assert one[2].tolist() == two[2].tolist()
        np.testing.assert_equal(one[3], two[3])


def test_attributes_methods_and_seeds() -> None:
    env = view("reacher_easy", 3, render_mode="rgb_array", render_size=20)
    assert env.get_attr("task") == ["reacher_easy"] * 3 and env.get_attr("render_mode", [0, 2]) == ["rgb_array"] * 2
    env.set_attr("stagger", True)
    assert env.env.env.stagger and env.get_attr("stagger", 1) == [True] and not env.has_attr("staggers")
    with pytest.raises(ValueError, match="the environments share their attributes: set stagger for all of them"):
        env.set_attr("stagger", False, [0, 1])
    assert env.seed(5) == [5, 6, 7]
    first = env.reset()
    assert len(env.env_method("state_dict", indices=[1])) == 1
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False] * 3
    assert env.render().shape == (40, 40, 3) and len(env.get_images()) == 3
    assert not np.array_equal(env.reset(), first)
    env.seed(5)
    assert np.array_equal(env.reset(), first)
    assert view("reacher_easy", 2).get_images() == [None, None]
    env.close()


def test_only_same_step_environments_of_ours_are_taken() -> None:
    made = gymnasium.make_vec("empower/walker_walk-v0", num_envs=2, autoreset_mode="SameStep")
    assert envs.sb3.VecEnv(made).num_envs == 2
    for env in (gymnasium.make_vec("empower/walker_walk-v0"), gymnasium.make_vec("CartPole-v1")):
        with pytest.raises(ValueError, match='stable-baselines3 needs our environments with autoreset_mode="SameStep"'):
            envs.sb3.VecEnv(env)
    with pytest.raises(ValueError, match="autoreset_mode is no option here"):
        envs.sb3.make_vec_env("walker_walk", autoreset_mode="Disabled")


def test_episodes_are_reported_and_their_own_factory_finds_the_ids() -> None:
    env = envs.sb3.make_vec_env("cartpole_balance", 2, time_limit=3)
    env.reset()
    rewards = [env.step(NOTHING[:2]) for _ in range(3)]
    assert [info["episode"]["l"] for info in rewards[-1][3]] == [3, 3]
    assert rewards[-1][3][1]["episode"]["r"] == pytest.approx(sum(reward[1] for _, reward, _, _ in rewards), rel=1e-6)
    assert SAC("MlpPolicy", "envs:empower/cartpole_balance-v0", buffer_size=10).observation_space.shape == (5,)


def tiny_infopower(shapes: dict[str, tuple[int, ...]], action_dim: int) -> InfoPower:
    torch.manual_seed(0)
    model = InfoPowerModelConfig(embed=13, deter=11, stoch=7, hidden=17, critic=19)
    return InfoPower(Spaces(shapes, action_dim), InfoPowerConfig(model=model, hidden=17))


@pytest.mark.parametrize("kind", ["infopower", "sac"])
def test_their_evaluation_takes_our_agents_and_agrees_with_ours(kind: str) -> None:
    """Greedy returns of the same episodes: carries go on within an episode and begin anew with the next."""
    options = {"seed": 2, "time_limit": 7}
    ours = envs.make("walker_walk", 3, **options)
    if kind == "infopower":
        agent: Any = tiny_infopower(ours.observation_shapes, 6)
    else:
        agent = SB3SAC(Spaces(ours.observation_shapes, 6), SB3SACConfig(net_arch=(11,)))
    expected = evaluate(agent, ours, 6)
    env = VecMonitor(view("walker_walk", 3, **options))
    returns, lengths = evaluate_policy(Predictor(agent), env, 6, return_episode_rewards=True)
    assert lengths == [7] * 6
    # theirs are in the order of the episodes' ends, ours by environment
    np.testing.assert_allclose(np.array(returns).reshape(2, 3).T.ravel(), expected, rtol=1e-5)
    assert expected.std() > 0


def test_predictions_have_the_shapes_that_were_asked_for() -> None:
    agent = tiny_infopower({"state": (6,)}, 2)
    predictor = Predictor(agent)
    batch = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    actions, carry = predictor.predict(batch, deterministic=True)
    assert actions.shape == (3, 2) and carry.batch_size == (3,)
    single, _ = predictor.predict(batch[1], deterministic=True)
    np.testing.assert_allclose(single, actions[1], rtol=1e-5)
    named, _ = predictor.predict({"state": batch}, deterministic=True)
    assert np.array_equal(named, actions)
    begun, _ = predictor.predict(batch, carry, np.array([True, False, True]), deterministic=True)
    went_on, _ = predictor.predict(batch, carry, deterministic=True)
    np.testing.assert_allclose(begun[[0, 2]], actions[[0, 2]], rtol=1e-5)
    assert np.array_equal(begun[1], went_on[1]) and not np.allclose(went_on[0], actions[0])
    assert not np.array_equal(predictor.predict(batch)[0], predictor.predict(batch)[0])  # explores
    frames = np.zeros((2, 36, 36, 3), np.uint8)
    pixels = Predictor(SB3PPO(Spaces({"pixels": (36, 36, 3)}, 2), SB3PPOConfig()))
    assert pixels.predict(frames)[0].shape == (2, 2) and pixels.predict(frames[0])[0].shape == (2,)
