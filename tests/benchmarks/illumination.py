"""The claim of MAP-Elites' paper, on a cheetah: python tests/benchmarks/illumination.py [--out docs/illumination.png].

MAP-Elites, a plain evolutionary search and random search play equally many policies of `map-elites-small`: the same
random ones first, in the same environments. All that they play is offered to archives of the same cells, but MAP-Elites
alone chooses parents from its own (arXiv 1504.04909). The four figures, and their 95 % bootstrap intervals over seeds,
are of archives in which every elite was played once again, from starts that no search has seen.

What was found in each cell is kept in --folder; what is there already is not played again.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import torch
from safetensors import torch as safetensors
from tensordict import TensorDict
from torch import Tensor

matplotlib.use("Agg")

from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.archive.metrics import paper_figures
from agents.config import Config
from agents.generators import seed_generators
from agents.map_elites import MapElites, outcomes
from agents.map_elites.emitters import Emitted, Emitter, Emitters
from agents.map_elites.reevaluation import reported
from agents.map_elites.variation import Genetic, iso_line
from agents.presets import AGENTS
from agents.replay import ReplayBuffer
from agents.runs.statistics import bootstrap_interval
from envs.batched import BatchedEnv
from train import make_agent, make_envs
from views.curves import save

SEARCHES = {"map-elites": "MAP-Elites", "evolution": "evolution", "random": "random search"}
FIGURES = ("global_performance", "global_reliability", "precision", "coverage")
POPULATION = 100  # of the evolutionary search: our choice
GRID, INITIAL = (12, 12), 256  # cells for fewer policies than `map-elites-small` plays, and how many are random
SHARES = {"archived": "as archived", "reevaluated": "played again"}


class Population:
    """Evolution by truncation, (mu + lambda): parents are the best of all that was played, whatever they showed."""

    def __init__(self, size: int, genetic: Genetic[Any]) -> None:
        self.size, self.genetic = size, genetic
        self.solution, self.objective = torch.zeros(0, genetic.kind.solution_dim), torch.zeros(0)  # (mu, P), (mu,)

    def see(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Let the episodes that end here compete with who is there; of equals, who came first stays."""
        rows, objective, _ = outcomes.ended(timestep, carry)  # (n,), (n,)
        everyone = torch.cat([self.objective, objective])
        best = everyone.argsort(descending=True, stable=True)[: self.size]  # (mu,)
        self.solution = torch.cat([self.solution, carry["solution"][rows]])[best]
        self.objective = everyone[best]

    def learn(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"solution": self.solution, "objective": self.objective}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.solution, self.objective = state_dict["solution"], state_dict["objective"]

    def vary(self, count: int) -> Emitted:
        """Return variations (n, P) of members, every one equally likely."""
        genetic = self.genetic
        chosen = torch.randint(len(self.solution), (2, count), generator=genetic.generator)
        first, second = self.solution[chosen]  # (n, P) each
        varied = iso_line(first, second, genetic.config.iso, genetic.config.line, genetic.generator)
        return genetic.for_none(varied)


def settings() -> Config[Any]:
    """Return the settings that all searches share."""
    config = AGENTS["map-elites-small"]
    archive = replace(config.agent.archive, grid=GRID, reevaluate=0.0)
    agent = replace(config.agent, archive=archive, variation=replace(config.agent.variation, initial=INITIAL))
    return replace(config, agent=agent, threads=1, device="cpu")


def search(name: str, config: Config[Any], envs: BatchedEnv, evaluations: int) -> MapElites:
    """Make a search of the settings of MAP-Elites. None plays elites again, so that all play equally many policies."""
    variation = config.agent.variation
    if name == "random":
        variation = replace(variation, initial=evaluations)
    agent = make_agent(replace(config, agent=replace(config.agent, variation=variation)), envs)
    assert isinstance(agent, MapElites)
    if name != "evolution":
        return agent
    population = Population(POPULATION, agent.genetic)
    emitters = {
        "random": agent.genetic.emitters()["random"],
        "evolution": Emitter(1.0, population.vary, agent.genetic.begun),
    }
    return MapElites(agent.genetic, Emitters(emitters, "cpu"), config.agent.archive, population)


def illuminate(name: str, config: Config[Any], evaluations: int) -> dict[str, Tensor]:
    """Search; return the objectives (C,) in the archive and in that of the elites played again, -inf where none is."""
    seed_generators(config.seed)
    envs = make_envs(config)
    found = search(name, config, envs, evaluations)
    timestep, carry = envs.reset(), found.initial_carry(config.num_envs)
    while found.archive.offered < evaluations:
        out, carry = found.act(timestep, carry)
        timestep = envs.step(out["action"])
    envs.close()
    fresh = make_envs(config, seed=config.seed + 1000)
    again = reported(found.archive, found.kind, fresh)
    fresh.close()
    return {"archived": found.archive.objective, "reevaluated": again.objective}


def cells_of(folder: Path, name: str, config: Config[Any], evaluations: int) -> dict[str, Tensor]:
    """Return what a search found in each cell (C,): of the folder, or now."""
    path = folder / f"{name}-{evaluations}-{config.seed}.safetensors"
    if not path.exists():
        began = time.monotonic()
        cells = illuminate(name, config, evaluations)
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.save_file({key: value.clone() for key, value in cells.items()}, path)
        print(f"{path}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return safetensors.load_file(path)


def table(found: Tensor) -> str:
    """Lay out the four figures, and the QD score, of what searches found (searches, seeds, C)."""
    figures = {name: value.view(found.shape[:2]) for name, value in paper_figures(found.flatten(0, 1)).items()}
    columns = [figures[name] for name in FIGURES] + [found.clamp(min=0).sum(2)]
    heads = [name.replace("_", " ") for name in (*FIGURES, "QD score")]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for label, *scores in zip(SEARCHES.values(), *columns, strict=True):  # each (seeds,)
        lines.append("| " + " | ".join([label, *map(told, scores)]) + " |")
    return "\n".join(lines)


def told(scores: Tensor) -> str:
    low, high = bootstrap_interval(scores)
    digits = ".2f" if scores.max() <= 1 else ",.0f"
    return f"{scores.mean():{digits}} ({low:{digits}} to {high:{digits}})"


def draw(found: Tensor, config: Config[Any], path: Path) -> None:
    """Draw what each search found in the cells with its first seed, and the figures of all seeds."""
    figure, axes = plt.subplots(
        1, len(SEARCHES) + 1, figsize=(15, 3.9),
        layout="constrained",
    )  # fmt: skip
    most = found[:, 0].amax()
    across, up = (name.replace("_", " ") for name in config.measures)
    for axis, label, cells in zip(axes, SEARCHES.values(), found[:, 0], strict=False):
        grid = torch.where(cells > -torch.inf, cells, torch.nan).view(config.agent.archive.grid).T  # second measure up
        image = axis.imshow(grid, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=most, cmap="viridis")
        axis.set(title=label, xlabel=across, ylabel=up)
    figure.colorbar(image, ax=axes[: len(SEARCHES)], label="return")
    for number, (name, value) in enumerate(paper_figures(found.flatten(0, 1)).items()):
        for place, scores in enumerate(value.view(found.shape[:2])):
            x, (low, high) = number + 0.25 * (place - 1), bootstrap_interval(scores)
            axes[-1].plot([x] * len(scores), scores, f"C{place}.", alpha=0.4, markersize=4)
            told = list(SEARCHES.values())[place] if not number else None
            axes[-1].errorbar(x, scores.mean(), [[scores.mean() - low], [high - scores.mean()]], fmt=f"C{place}o",
                              capsize=3, label=told)  # fmt: skip
        axes[-1].text(number, -0.04, name.replace("_", "\n"), ha="center", va="top", fontsize="small")
    axes[-1].set(ylim=(0, 1.02), xticks=[], title=f"{found.shape[1]} seeds, 95 % intervals")
    axes[-1].grid(axis="y", alpha=0.3)
    axes[-1].legend(fontsize="small")
    save(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=2560)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--folder", type=Path, default=Path("runs/illumination"))
    parser.add_argument("--out", type=Path, help="PNG of the cells of the first seed and of the figures")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = settings()
    cells = [[cells_of(args.folder, name, replace(config, seed=seed), args.evaluations) for name in SEARCHES]
             for seed in args.seeds]  # fmt: skip
    for key, title in SHARES.items():
        found = torch.stack(
            [torch.stack([search[key] for search in seed]) for seed in cells], 1
        )  # (searches, seeds, C)
        print(f"\n{config.task}, {args.evaluations:,} policies a search, {len(cells)} seeds, elites {title}:\n")
        print(table(found))
    if args.out is not None:
        draw(found, config, args.out)


if __name__ == "__main__":
    main()
