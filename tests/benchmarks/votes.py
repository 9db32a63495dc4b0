"""What the votes of models are worth: python tests/benchmarks/votes.py RUN [RUN ...], runs that imagine offspring.

Of each run's newest checkpoint: offspring are made as the run would make them, the models vote, and then all of them
are played, from starts that no run has seen. Kept is what would enter the archive as it stands. Beside the share that
is kept of all, which is what a random pick has: of those that would be elected, of those for which most vote, of those
for which nobody does, and of those that would be kept for another real episode: what it tells to play them beforehand.
With 95 % bootstrap intervals over solutions. Last the chance that of one that is kept and one that is not, the first
has more votes: 0.5 if votes say nothing.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.agent import policies_of
from agents.map_elites import MapElites
from agents.map_elites.imagined import Screening, elected
from agents.map_elites.outcomes import play
from agents.runs.folder import load_config
from agents.runs.statistics import bootstrap_interval, improvement
from train import load_agent, make_envs

COLUMNS = (
    "kept of all",
    "of the elected",
    "of those with most votes",
    "of those with none",
    "of those kept before",
    "chance of more votes",
)


def judged(agent: MapElites, run: Path, solutions: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the votes (n,) for offspring, who would be elected, and who be kept, for one episode and another: (n,)."""
    screening = agent.emitters
    assert isinstance(screening, Screening)
    made, _ = screening.emitters.emit(solutions)
    votes = screening.votes(made.solution)  # (n,)
    chosen = torch.zeros(len(votes), dtype=torch.bool, device=votes.device)
    chosen[elected(votes, solutions // screening.offspring, screening.generator)] = True
    config = load_config(run)
    envs = make_envs(config, seed=config.seed + 1000)
    kept, before = (agent.archive.would_keep(*play(agent.kind, made.solution, envs)) for _ in range(2))
    envs.close()
    return votes, chosen, kept, before


def imagining(run: Path) -> Iterator[MapElites]:
    """Load a run; yield those of its agents that imagine offspring, as far as they have learned to."""
    config = load_config(run)
    envs = make_envs(config)
    for agent in policies_of(load_agent(run, config, envs)[0]).values():
        if isinstance(agent, MapElites) and isinstance(agent.emitters, Screening) and agent.emitters.ready():
            yield agent
    envs.close()


def row(votes: Tensor, chosen: Tensor, kept: Tensor, before: Tensor) -> list[str]:
    """Lay out the columns, of votes, who was chosen, who was kept and who had been kept before (n,)."""
    everyone = torch.ones_like(chosen)
    cells = [told(kept[some]) for some in (everyone, chosen, votes > 0.5, votes == 0, before)]
    right = improvement([votes[kept].unsqueeze(0)], [votes[~kept].unsqueeze(0)])  # (1,)
    return [*cells, f"{right.item():.2f}"]


def told(kept: Tensor) -> str:
    """Write the share of solutions (n,) that were kept, its interval, and how many there are."""
    if not len(kept):
        return "- (of 0)"
    low, high = bootstrap_interval(kept.double())
    return f"{kept.double().mean():.3f} ({low:.3f} to {high:.3f}; of {len(kept)})"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "runs", type=Path, nargs="+", help="of imagined-map-elites, or of together with --agent.imagined"
    )
    parser.add_argument("--solutions", type=int, default=1024, help="offspring of each run")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"| | {' | '.join(COLUMNS)} |\n{'|---' * (1 + len(COLUMNS))}|")
    for run in args.runs:
        torch.manual_seed(0)
        for agent in imagining(run):
            print(f"| {' | '.join([run.name, *row(*judged(agent, run, args.solutions))])} |", flush=True)


if __name__ == "__main__":
    main()
