"""Agents learn: real runs, cut to seconds, against a random policy."""

from pathlib import Path

import pytest
import torch
from tiny import metrics

import train
from agents.evaluation import RandomPolicy, evaluate

SCENE = "--task cartpole_balance --observation state --action-repeat 4 --time-limit 250 --device cpu --threads 1"
PACE = "--steps 16000 --prefill 4000 --train-ratio .0625 --eval-every 0 --eval-episodes 8 --checkpoint-every 0"
NETS = "--agent.hidden 64 --agent.model.deter 64 --agent.model.stoch 16 --agent.model.hidden 64 --agent.model.embed 64"
LEARNING = "--agent.batch 16 --agent.length 8 --agent.starts 64 --agent.horizon 8 --agent.exploration .1"


@pytest.mark.learning
def test_infopower_balances_the_pole(tmp_path: Path) -> None:
    """Reward is at most 1 a control step: 250 an episode."""
    run = tmp_path / "run"
    train.main(["infopower-small", "--run", str(run), *f"{SCENE} {PACE} {NETS} {LEARNING}".split()])
    last = metrics(run)[-1]
    envs = train.make_envs(train.load_config(run), num_envs=8, seed=1)
    random = evaluate(RandomPolicy(envs.action_dim, "cpu", 0), envs, 8)
    assert last["eval/return"] > 225 > 1.5 * random.max()
    assert last["model/inverse_over_uniform"] > 0.05  # what the agent controls is in the codes
    assert torch.isfinite(torch.tensor(list(last.values()))).all()
