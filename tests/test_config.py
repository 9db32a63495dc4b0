"""Options: names, JSON and back, what is refused."""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest

from agents.config import Config, flatten, nearest, rebuild, validate
from agents.map_elites.td3 import TD3Config
from agents.sb3.ppo import SB3PPOConfig
from agents.sb3.sac import SB3SACConfig
from agents.slim import SlimConfig


@dataclass(frozen=True)
class ModelConfig:
    layers: tuple[tuple[int, int], ...] = ((3, 5),)
    rate_: float = 0.1


@dataclass(frozen=True)
class AgentConfig:
    model: ModelConfig = field(default_factory=ModelConfig)
    horizon: int = 7


def make_config(**changes: Any) -> Config[AgentConfig]:
    return replace(Config("preset", AgentConfig()), **changes)


def test_names_are_the_command_lines() -> None:
    options = flatten(make_config(num_envs=11))
    assert options["num-envs"] == 11
    assert options["agent.horizon"] == 7
    assert options["agent.model.layers"] == ((3, 5),)
    assert options["agent.model.rate_"] == 0.1


def test_json_and_back() -> None:
    config = make_config(agent=AgentConfig(ModelConfig(layers=((1, 2), (3, 4)), rate_=1 / 3)), video_dir="clips")
    assert rebuild(make_config(), json.loads(json.dumps(asdict(config)))) == config


def test_an_older_file_takes_new_defaults_and_an_unknown_option_is_named() -> None:
    assert rebuild(make_config(), {"agent": {"horizon": 13}}).agent == AgentConfig(horizon=13)
    with pytest.raises(ValueError, match=r"unknown option horizn: did you mean horizon\?"):
        rebuild(make_config(), {"agent": {"horizn": 13}})


def test_a_value_of_another_kind_is_named() -> None:
    for values, line in (
        ({"num_envs": "three"}, "num_envs is text where a number belongs"),
        ({"num_envs": None}, "num_envs is null where a number belongs"),
        ({"diagnostics": 1}, "diagnostics is a number where true or false belongs"),
        ({"agent": {"model": {"layers": 3}}}, "layers is a number where a list belongs"),
        ({"agent": 3}, "agent is a number where an object belongs"),
    ):
        with pytest.raises(ValueError, match=line):
            rebuild(make_config(), values)


STATES = "--replay-dir holds pixels, which --observation state has none of: take --replay-dir None"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"num_envs": -3}, "--num-envs must be at least 1, not -3"),
        ({"steps": 0}, "--steps must be at least 1, not 0"),
        ({"seed": -1}, "--seed must be at least 0, not -1"),
        ({"seed": 2**63}, f"--seed must lie from 0 to {2**63 - 1}, not {2**63}"),
        ({"train_ratio": math.inf}, "--train-ratio must be finite, not inf"),
        ({"train_ratio": math.nan}, "--train-ratio must be finite, not nan"),
        ({"agent": AgentConfig(horizon=-1)}, "--agent.horizon must be at least 1, not -1"),
        ({"train_ratio": -0.1}, "--train-ratio must be at least 0, not -0.1"),
        ({"agent": SlimConfig(clip=-1.0)}, "--agent.clip must be above 0, not -1.0"),
        ({"agent": SlimConfig(kl=-1.0)}, "--agent.kl must be at least 0, not -1.0"),
        ({"agent": SB3SACConfig(tau=7.0)}, "--agent.tau must lie from 0 to 1, not 7.0"),
        ({"agent": SB3PPOConfig(gae_lambda=3.0)}, "--agent.gae-lambda must lie from 0 to 1, not 3.0"),
        ({"agent": TD3Config(noise_clip=-1.0)}, "--agent.noise-clip must be at least 0, not -1.0"),
        ({"replay_dir": "/tmp", "observation": "state"}, STATES),
        (
            {"prefill": 61, "replay_size": 31, "num_envs": 3, "action_repeat": 2},
            "--prefill 61 is more than the 60 steps that --replay-size holds",
        ),
    ],
)
def test_sizes_that_make_no_sense_are_named(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as caught:
        validate(make_config(**changes))
    assert str(caught.value) == line


def test_every_default_is_valid() -> None:
    validate(make_config())


def test_the_nearest_name_is_suggested() -> None:
    assert nearest("walker_stnd", ["walker_stand", "walker_walk"]) == ": did you mean walker_stand?"
    assert nearest("x", ["video", "noise"]) == ": choose from video, noise"
