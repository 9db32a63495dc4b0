"""Who gains from sharing: python tests/benchmarks/together.py [--folder runs/together] [--only NAME ...] [--steps S].

Trains InfoPower, SLIM and PGA-MAP-Elites together, with batches of everybody's rows, of which half are its own, or all,
and each of them alone in as many environments as it had, for as many steps of each, where the folder has no such run
yet. Then prints what each learned, mean and seeds, and how well the world models tell rewards from actions, in episodes
that no run has seen, of each of the three.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from training import train_missing

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.agent import Policy, policies_of
from agents.config import option
from agents.evaluation import evaluate
from agents.infopower import InfoPower
from agents.presets import AGENTS
from agents.replay import ReplayBuffer
from agents.runs.folder import load_config
from envs.batched import BatchedEnv
from train import load_agent, make_envs
from views.curves import read_rows

PRESET = AGENTS["together-small"]
SHARES = {option(name): share for name, share in asdict(PRESET.agent.envs).items() if share}
FIGURES = {
    "infopower/eval/return": "InfoPower's return",
    "map-elites/reevaluated/qd_score": "QD score, elites evaluated anew",
    "map-elites/reevaluated/coverage": "coverage, elites evaluated anew",
    "map-elites/reevaluated/max": "best elite, evaluated anew",
    "slim/skills/coverage": "bins of 10 cm that SLIM's skills enter",
    "slim/skills/reached": "metres from the start",
}
COUNTS = ("num_envs", "steps", "prefill", "replay_size", "eval_every", "log_every", "checkpoint_every")
EPISODES, SEED = 32, 5000  # of each policy, for the world models


SHARED = {"shared": 1.0, "half": 0.5, "own": 0.0}  # share of a batch that is everybody's
VARIANTS = (*SHARED, *SHARES)


def options(variant: str, steps: int) -> list[str]:
    """Return a variant's options; one alone has the environments and steps that it has among the three."""
    share = SHARES[variant] / sum(SHARES.values()) if variant in SHARES else 1.0
    counts = {**{count: getattr(PRESET, count) for count in COUNTS}, "steps": steps}
    words = [word for count, value in counts.items() for word in (f"--{option(count)}", str(round(value * share)))]
    others = [name for name in SHARES if variant in SHARES and name != variant]
    words += [word for name in others for word in (f"--agent.envs.{name}", "0")]
    return [*words, "--agent.shared", str(SHARED.get(variant, 1.0))]


def figures(run: Path, at: int) -> dict[str, float]:
    """Return what a run's evaluation told: the first one's (0) or the last one's (-1)."""
    rows = read_rows(run)
    found = {name: [row[name] for row in rows if name in row] for name in FIGURES}
    return {name: values[at] for name, values in found.items() if values}


def told(found: list[dict[str, float]], name: str) -> str:
    """Lay out mean and seeds of a figure."""
    values = [each[name] for each in found if name in each]
    return f"{sum(values) / len(values):.3g} ({', '.join(f'{value:.3g}' for value in values)})" if values else ""


def agents_of(run: Path, envs: BatchedEnv) -> dict[str, Policy]:
    return policies_of(load_agent(run, load_config(run), envs)[0])


def behaviours(runs: list[Path]) -> Iterator[tuple[str, ReplayBuffer]]:
    """Let every agent of runs explore in episodes that none has learned from; yield whose they are, and the rows."""
    for run in runs:
        envs = make_envs(load_config(run), num_envs=EPISODES, seed=SEED)
        for name, policy in agents_of(run, envs).items():
            replay = ReplayBuffer(EPISODES * (envs.episode_length + 1), EPISODES)
            evaluate(policy, envs, EPISODES, explore=True, watch=replay.add)
            yield name.removesuffix("/"), replay
        envs.close()


def foretold(folder: Path, seed: int) -> dict[str, dict[str, float]]:
    """Return each variant's R^2 of rewards told from actions, on the rows of each agent: variant -> whose -> R^2."""
    runs = {name: folder / f"{name}-{seed}" for name in (*SHARED, "infopower")}
    runs = {name: run for name, run in runs.items() if (run / "checkpoints").exists()}
    envs = make_envs(load_config(next(iter(runs.values()))), num_envs=1)
    models = {name: agents_of(run, envs)["infopower/"] for name, run in runs.items()}
    envs.close()
    found: dict[str, dict[str, list[float]]] = {name: {whose: [] for whose in SHARES} for name in models}
    for whose, replay in behaviours([run for name, run in runs.items() if name != "infopower"]):
        for name, model in models.items():
            assert isinstance(model, InfoPower)
            torch.manual_seed(0)
            found[name][whose].append(model.examine(replay)["foretold/reward"].item())
    return {
        name: {whose: sum(values) / len(values) for whose, values in each.items() if values}
        for name, each in found.items()
    }


def report(folder: Path, seeds: list[int]) -> None:
    """Print both tables, of the runs that are there, and what the shared ones cost."""
    runs = {name: [folder / f"{name}-{seed}" for seed in seeds] for name in VARIANTS}
    there = {name: [run for run in of if (run / "checkpoints").exists()] for name, of in runs.items()}
    at = {name: [figures(run, -1) for run in of] for name, of in there.items()}
    at = {"shared, first evaluation": [figures(run, 0) for run in there["shared"]], **at}
    print(f"| | {' | '.join(FIGURES.values())} |\n{'|---' * (len(FIGURES) + 1)}|")
    for name, found in at.items():
        label = f"{name} alone" if name in SHARES else name
        print(f"| {label} | {' | '.join(told(found, figure) for figure in FIGURES)} |")
    models = [foretold(folder, seed) for seed in seeds if (folder / f"shared-{seed}" / "checkpoints").exists()]
    print(f"\n| rewards foretold, R^2 | {' | '.join(SHARES)} |\n{'|---' * (len(SHARES) + 1)}|")
    for name in (*SHARED, "infopower"):
        found = [each[name] for each in models if name in each]
        print(f"| {name} | {' | '.join(told(found, whose) for whose in SHARES)} |")
    for run in there["shared"]:
        last = read_rows(run)[-1]
        shares = ", ".join(f"{name} {100 * last[f'speed/share/{name}']:.0f} %" for name in SHARES)
        updates = ", ".join(f"{name} {last[f'{name}/updates'] * PRESET.train_ratio:.3g}" for name in SHARES)
        print(
            f"{run.name}: {last['speed/minutes']:.1f} minutes, of which {shares}; updates a step of its own: {updates}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/together"))
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=VARIANTS, help="train these; none: report")
    parser.add_argument("--steps", type=int, default=PRESET.steps, help="of all three together")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args, more = parser.parse_known_args()
    torch.set_num_threads(1)
    for seed in args.seeds:
        for name in args.only:
            words = [PRESET.name, "--seed", str(seed), *options(name, args.steps), *more]
            train_missing(args.folder / f"{name}-{seed}", words)
    report(args.folder, args.seeds)


if __name__ == "__main__":
    main()
