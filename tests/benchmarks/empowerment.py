"""Where empowerment matters: python tests/benchmarks/empowerment.py [--folder runs/empowerment] [--only NAME ...].

Two conditions that were chosen before variants were compared, where the paper expects a difference: a reward that comes
seldom, and something in the background that moves as the agent does. The first is seen as states: from pixels the small
preset learns nothing of it in so few steps, and there would be nothing to compare. Trains InfoPower with both of its
empowerment terms, without the one in the reward, and without either, where the folder has no such run yet; InfoPower+,
whose inverse model looks several steps ahead, with both and without either. Then prints held-out returns early (mean of
the evaluations before the last) and at the end, and what the terms add, seed by seed, with 95 % bootstrap intervals
over seeds.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from training import train_missing

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.runs.statistics import bootstrap_interval
from views.curves import read_rows

CONDITIONS = {
    "seldom": "--task cartpole_balance_sparse --observation state",
    "agent": "--task walker_stand --distraction agent",
}
NEITHER = "--agent.empowerment 0 --agent.model.inverse-scale 0"
FAMILIES = {
    "infopower-small": {"both": "", "model": "--agent.empowerment 0", "neither": NEITHER},
    "infopower-plus-small": {"plus": "", "plain": NEITHER},
}
LABELS = {
    "both": "in model and reward",
    "model": "in the model alone",
    "neither": "in neither",
    "plus": "over several steps, in model and reward",
    "plain": "in neither",
}
RUN = "--steps 100000 --eval-every 20000 --eval-episodes 20 --log-every 5000"


def evaluations(run: Path) -> list[float]:
    """Return the held-out returns of a run so far; none if it is not there."""
    there = (run / "metrics.jsonl").exists()
    return [row["eval/return"] for row in read_rows(run) if "eval/return" in row] if there else []


def returns(run: Path) -> Tensor:
    """Return the held-out returns of a run's evaluations: early, and at the end (2,)."""
    found = evaluations(run)
    return torch.tensor([sum(found[:-1]) / len(found[:-1]), found[-1]])


def told(values: Tensor) -> str:
    """Lay out seeds (S,): their mean, its interval, and each."""
    low, high = bootstrap_interval(values)
    each = ", ".join(f"{value:.0f}" for value in values.tolist())
    return f"{values.mean().item():.0f} ({low:.0f} to {high:.0f}); {each}"


def report(folder: Path, seeds: list[int]) -> None:
    """Print a table for each condition and agent, of seeds with which all variants that were tried are at their end."""
    for condition, options in CONDITIONS.items():
        for agent, variants in FAMILIES.items():
            runs = {name: [folder / f"{condition}-{name}-{seed}" for seed in seeds] for name in variants}
            runs = {name: of for name, of in runs.items() if any(map(evaluations, of))}
            if not runs:
                continue
            counts = torch.tensor([[len(evaluations(run)) for run in of] for of in runs.values()])  # (variants, S)
            whole = (counts == counts.max()).all(0).nonzero().flatten().tolist()
            if not whole:
                continue
            found = {name: torch.stack([returns(of[i]) for i in whole], 1) for name, of in runs.items()}  # (2, S)
            print(f"\n{agent} {options}: seeds {', '.join(str(seeds[i]) for i in whole)}\n")
            print("| empowerment | early | at the end |\n|---|---|---|")
            for name, values in found.items():
                print(f"| {LABELS[name]} | {told(values[0])} | {told(values[1])} |")
            full, *others = found
            for name in others:
                added = found[full] - found[name]  # (2, S)
                print(f"| what the first adds to {LABELS[name]} | {told(added[0])} | {told(added[1])} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/empowerment"))
    variants = {name: (agent, more) for agent, of in FAMILIES.items() for name, more in of.items()}
    names = [f"{condition}-{name}" for condition in CONDITIONS for name in variants]
    parser.add_argument("--only", nargs="*", default=names, choices=names, help="train these; none: report")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    args, more = parser.parse_known_args()
    for seed in args.seeds:
        for name in args.only:
            condition, variant = name.split("-")
            agent, changes = variants[variant]
            options = f"--seed {seed} {CONDITIONS[condition]} {changes} {RUN}"
            train_missing(args.folder / f"{name}-{seed}", [agent, *options.split(), *more])
    report(args.folder, args.seeds)


if __name__ == "__main__":
    main()
