"""What an archive of skills reaches, and uniform draws: python tests/benchmarks/skill_archive.py RUN [RUN ...].

RUN is a run of slim with a library (evaluate.py RUN --library). MAP-Elites fills a grid of the object's displacement,
in cells of 5 cm, with sequences of its skills; beside it the same number of sequences drawn from the skills' prior, one
skill an episode, and policies' parameters. Every elite is then played from fresh starts, which no archive has seen:

filled    cells of the archive as it ended
again     cells in which the elites end, played once more
reliable  cells in which they end on the average of STARTS episodes
missed    how far from its place in the archive an elite ends, in cm, on average

Prints a markdown table: means over runs and seeds, with 95 % bootstrap intervals over them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import train
from agents.archive_metrics import corrected
from agents.archive_presets import PUSHES
from agents.map_elites import MapElites, MapElitesConfig
from agents.outcomes import play
from agents.registry import AGENTS
from agents.skill_map_elites import SkillMapElitesConfig
from agents.skills import SkillLibrary
from agents.statistics import bootstrap_interval
from agents.variation import VariationConfig
from envs.batched import BatchedEnv

STARTS, ENVS = 8, 64
COLUMNS = ("filled", "again", "reliable", "missed")


def compared(run: Path, skills: int, evaluations: int) -> dict[str, Any]:
    """Return settings by what stands in the table."""
    skilled, alone = (SkillMapElitesConfig(str(run), length, PUSHES) for length in (skills, 1))
    policies = MapElitesConfig(PUSHES, VariationConfig(), (64, 64))
    return {
        f"archive of {skills} skills in turn": skilled,
        f"{skills} skills in turn, drawn uniformly": uniform(skilled, evaluations),
        "archive of single skills": alone,
        "single skills, drawn uniformly": uniform(alone, evaluations),
        "archive of policies": policies,
        "random policies": uniform(policies, evaluations),
    }


def uniform(config: Any, evaluations: int) -> Any:
    """Return the settings with which every solution is a random one, and none is played again."""
    variation = replace(config.variation, initial=evaluations + 1)
    return replace(config, variation=variation, archive=replace(config.archive, reevaluate=0.0))


def fill(agent: MapElites, envs: BatchedEnv, evaluations: int) -> None:
    """Play so many episodes, N at a time."""
    timestep, carry = envs.reset(), agent.initial_carry(envs.num_envs)
    for _ in range(evaluations // envs.num_envs * (envs.episode_length + 1)):
        out, carry = agent.act(timestep, carry)
        timestep = envs.step(out["action"])


def measured(agent: MapElites, envs: BatchedEnv) -> dict[str, float]:
    """Play every elite from fresh starts; return the table's columns."""
    archive, elites = agent.archive, agent.archive.elites()
    played = [play(agent.kind, elites["solution"], envs) for _ in range(STARTS)]
    objective, measures = (torch.stack(values, 1) for values in zip(*played, strict=True))  # (n, K), (n, K, M)
    away = (measures - elites["measures"].unsqueeze(1)).norm(dim=-1)  # (n, K)
    return {
        "filled": float(len(elites)),
        "again": float(corrected(archive, elites, objective[:, 0], measures[:, 0]).occupied.sum()),
        "reliable": float(corrected(archive, elites, objective, measures).occupied.sum()),
        "missed": 100 * away.mean().item(),
    }


def study(run: Path, skills: int, evaluations: int, seed: int) -> dict[str, dict[str, float]]:
    origin, found = SkillLibrary.load(run).origin, {}
    for name, agent_config in compared(run, skills, evaluations).items():
        preset = "map-elites-small" if isinstance(agent_config, MapElitesConfig) else "skill-map-elites-small"
        scene = {"task": origin.task, "action_repeat": origin.action_repeat, "time_limit": origin.time_limit}
        config = replace(AGENTS["skill-map-elites-small"], name=preset, agent=agent_config, num_envs=ENVS, seed=seed)
        config = replace(config, device="cpu", threads=1, **scene)  # type: ignore[arg-type]
        torch.manual_seed(seed)
        envs, fresh = train.make_envs(config), train.make_envs(config, seed=seed + 1000)
        agent = train.make_agent(config, envs)
        assert isinstance(agent, MapElites)
        fill(agent, envs, evaluations)
        found[name] = measured(agent, fresh)
        for each in (envs, fresh):
            each.close()
        print(f"{run}, seed {seed}: {name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    return found


def table(results: Sequence[dict[str, dict[str, float]]]) -> str:
    """Return the markdown table of several studies."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name in results[0]:
        cells = []
        for column in COLUMNS:
            values = torch.tensor([result[name][column] for result in results])
            low, high = bootstrap_interval(values)
            digits = 1 if column == "missed" else 0
            cells.append(f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--skills", type=int, default=4, help="in turn, of a solution")
    parser.add_argument("--evaluations", type=int, default=4096, help="episodes that each archive gets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the archives, for each run")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    studied = [(run, seed) for run in options.runs for seed in options.seeds]
    results = [study(run, options.skills, options.evaluations, seed) for run, seed in studied]
    print(f"{options.evaluations:,} evaluations each, {len(results)} of each kind\n\n{table(results)}")


if __name__ == "__main__":
    main()
