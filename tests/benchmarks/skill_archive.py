"""What an archive of skills reaches, and uniform draws: python tests/benchmarks/skill_archive.py RUN [RUN ...].

RUN is a run of slim with a library (evaluate.py RUN --library). MAP-Elites fills a grid of the object's displacement
with sequences of its skills; beside it as many sequences drawn from the skills' prior, one skill an episode, and
policies' parameters. All get the same number of evaluations.

one start  cells that are filled if every episode begins in the same state: what search finds without noise
return     of these elites, on average
filled     cells that are filled from the task's own, random starts
again      cells in which the elites of `filled` end, each played once more
kept       of these elites, those that end within a cell's side of their place in half of 4 more episodes
missed     how far from their places they end, in cm, on average

Prints a markdown table: means over the runs, each with a seed of its own, with 95 % bootstrap intervals over them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

import train
from agents.archive.config import ArchiveConfig
from agents.archive.metrics import corrected
from agents.config import Config
from agents.map_elites import MapElites, MapElitesConfig
from agents.map_elites.outcomes import play
from agents.map_elites.skill_map_elites import SkillMapElitesConfig
from agents.map_elites.variation import VariationConfig
from agents.presets import AGENTS
from agents.presets.map_elites import PUSHED
from agents.runs.statistics import bootstrap_interval
from agents.skills import SkillLibrary
from envs.batched import BatchedEnv

STARTS, ENVS = 4, 64
COLUMNS = {"one start": 0, "return": 1, "filled": 0, "again": 0, "kept": 0, "missed": 1}  # and digits


class OneStart:
    """Environments of which every episode begins in the same state."""

    def __init__(self, envs: BatchedEnv) -> None:
        self.envs, self.num_envs, self.episode_length = envs, envs.num_envs, envs.episode_length
        envs.reset()
        self.start = envs.state_dict()

    def reset(self) -> TensorDict:
        """Begin new episodes where the first environment was."""
        timestep = self.envs.place(self.start, torch.zeros(self.num_envs, dtype=torch.int64))
        return timestep.set("is_first", torch.ones_like(timestep["is_first"]))

    def step(self, action: Tensor) -> TensorDict:
        """Step all; episodes end together."""
        timestep = self.envs.step(action)
        return self.reset() if timestep["is_first"].any() else timestep


def compared(run: Path, grid: ArchiveConfig, skills: int, evaluations: int) -> dict[str, Any]:
    """Return agents' settings by what stands in the table."""
    initial = evaluations // 8
    sequences = SkillMapElitesConfig(str(run), skills, grid)
    sequences = replace(sequences, variation=replace(sequences.variation, initial=initial))
    alone = replace(sequences, skills=1)
    policies = MapElitesConfig(grid, VariationConfig(initial), (64, 64))
    return {
        f"archive of {skills} skills in turn": sequences,
        f"{skills} skills in turn, drawn uniformly": uniform(sequences, evaluations),
        "archive of single skills": alone,
        "single skills, drawn uniformly": uniform(alone, evaluations),
        "archive of policies": policies,
        "random policies": uniform(policies, evaluations),
    }


def uniform(config: Any, evaluations: int) -> Any:
    """Return the settings with which every solution is a random one, and none is played again."""
    variation = replace(config.variation, initial=evaluations + 1)
    return replace(config, variation=variation, archive=replace(config.archive, reevaluate=0.0))


def fill(agent: MapElites, envs: BatchedEnv | OneStart, evaluations: int) -> None:
    """Play so many episodes, N at a time."""
    timestep, carry = envs.reset(), agent.initial_carry(envs.num_envs)
    for _ in range(evaluations // envs.num_envs * (envs.episode_length + 1)):
        out, carry = agent.act(timestep, carry)
        timestep = envs.step(out["action"])


def replayed(agent: MapElites, envs: BatchedEnv, near: float) -> dict[str, float]:
    """Play every elite from fresh starts; return the last columns."""
    archive, elites = agent.archive, agent.archive.elites()
    objective, measures = play(agent.kind, elites["solution"], envs)  # (n,), (n, M)
    more = [play(agent.kind, elites["solution"], envs)[1] for _ in range(STARTS)]
    away = (torch.stack(more, 1) - elites["measures"].unsqueeze(1)).norm(dim=-1)  # (n, STARTS)
    return {
        "filled": float(len(elites)),
        "again": float(corrected(archive, elites, objective, measures).occupied.sum()),
        "kept": float(((away < near).float().mean(1) >= 0.5).sum()),
        "missed": 100 * away.mean().item(),
    }


def settings(run: Path, agent: Any, seed: int) -> Config[Any]:
    """Return what an archive is filled with, in the environments of a run's library."""
    origin = SkillLibrary.load(run).origin
    preset = AGENTS["map-elites-small" if isinstance(agent, MapElitesConfig) else "skill-map-elites-small"]
    scene = {"task": origin.task, "action_repeat": origin.action_repeat, "time_limit": origin.time_limit}
    alike = {"measures": PUSHED, "num_envs": ENVS, "device": "cpu", "threads": 1}
    return replace(preset, agent=agent, seed=seed, **scene, **alike)  # type: ignore[arg-type]


def study(run: Path, seed: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the table's columns for each of its rows."""
    cells, found = round(2 * options.side / options.cell), {}
    grid = ArchiveConfig(grid=(cells, cells), ranges=((-options.side, options.side),) * 2)
    for name, agent_config in compared(run, grid, options.skills, options.evaluations).items():
        config = settings(run, agent_config, seed)
        torch.manual_seed(seed)
        envs, fresh = train.make_envs(config), train.make_envs(config, seed=seed + 1000)
        still, agent = (train.make_agent(config, envs) for _ in range(2))
        assert isinstance(still, MapElites) and isinstance(agent, MapElites)
        fill(still, OneStart(envs), options.evaluations)
        fill(agent, envs, options.evaluations)
        elites = still.archive.elites()
        found[name] = {"one start": float(len(elites)), "return": elites["objective"].mean().item()}
        found[name] |= replayed(agent, fresh, options.cell)
        for each in (envs, fresh):
            each.close()
        print(f"{run}, seed {seed}: {name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    return found


def table(results: Sequence[dict[str, dict[str, float]]]) -> str:
    """Return the markdown table of several studies."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name in results[0]:
        cells = []
        for column, digits in COLUMNS.items():
            values = torch.tensor([result[name][column] for result in results])
            low, high = bootstrap_interval(values)
            cells.append(f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--skills", type=int, default=4, help="in turn, of a solution")
    parser.add_argument("--side", type=float, default=0.6, help="metres along each axis that the grid reaches")
    parser.add_argument("--cell", type=float, default=0.05, help="side of a cell")
    parser.add_argument("--evaluations", type=int, default=2048, help="episodes that each archive gets")
    parser.add_argument("--seed", type=int, default=0, help="of the first run's archives; the next ones' follow")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = [study(run, seed, options) for seed, run in enumerate(options.runs, options.seed)]
    print(f"{options.evaluations:,} evaluations each, {len(results)} archives of each kind\n\n{table(results)}")


if __name__ == "__main__":
    main()
