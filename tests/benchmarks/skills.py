"""How much of the plane skills cover: python tests/benchmarks/skills.py [--folder runs/skills] [--out FILE.png].

Trains SLIM on the point mass, or with `--preset slim-tabletop-small` on the table-top, its baselines and each seed,
where the folder has no such run yet, plays the skills of all, and prints what they do beside a random policy. Options
of `train.py` may follow.
"""

import argparse
import sys
from pathlib import Path

import matplotlib
import torch

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from torch import Tensor
from training import train_missing

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.evaluation import RandomPolicy
from agents.runs.folder import load_config
from agents.slim import Slim
from agents.slim.metrics import displacement, measured, play
from agents.slim.priors import even_skills
from train import load_agent, make_envs
from views import skills as page
from views.curves import save

VARIANTS = {
    "slim": ("SLIM: a critic for each reward", ""),
    "sum": ("one critic on their sum", "--agent.critics sum"),
    "discovery": ("discovery alone", "--agent.rewards discovery"),
    "diayn": ("DIAYN", "--agent.rewards diayn"),
    "metra": ("METRA", "--agent.rewards metra"),
    "lsd": ("LSD", "--agent.rewards lsd"),
}
COLUMNS = ("coverage", "reached", "diversity", "goal/end")
TABLETOP = ("coverage", "coverage_xy", "reached", "diversity", "grasps", "consistency", "violations")
PRESETS = {"slim-small": COLUMNS, "slim-tabletop-small": TABLETOP}


def played(run: Path, seed: int) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Play a run's skills: skills (N, Z), displacements (N, T + 1, K), and numbers."""
    config = load_config(run)
    envs = make_envs(config, num_envs=page.SKILLS, seed=seed + 1000)
    agent, _ = load_agent(run, config, envs)
    assert isinstance(agent, Slim)
    shown, episodes, numbers = page.look(agent, envs)
    envs.close()
    return shown, displacement(episodes[0]), numbers


def at_random(run: Path, seed: int) -> tuple[Tensor, dict[str, float]]:
    """Play a random policy in a run's environments."""
    config = load_config(run)
    envs = make_envs(config, num_envs=page.SKILLS, seed=seed + 1000)
    episodes = [play(RandomPolicy(envs.action_dim, envs.device, seed * 10 + turn), envs) for turn in range(3)]
    numbers = measured(episodes, page.BINS.get(envs.task, page.BIN))
    envs.close()
    return displacement(episodes[0]), numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="slim-small")
    parser.add_argument("--folder", type=Path, default=Path("runs/skills"))
    parser.add_argument("--variants", nargs="+", default=["slim", "sum", "discovery", "diayn"], choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="PNG of the first seed's paths")
    args, more = parser.parse_known_args()
    figure, axes = plt.subplots(
        1, len(args.variants) + 1, figsize=(3.3 * len(args.variants) + 3.3, 3.9),
        layout="constrained",
    )  # fmt: skip
    columns = PRESETS[args.preset]
    print(f"| {page.SKILLS} skills | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|")
    for axis, name in zip(axes, [*args.variants, "random"], strict=True):
        found = []
        for seed in args.seeds:
            if name == "random":
                paths, numbers = at_random(args.folder / f"{args.variants[0]}-{seed}", seed)
                shown = even_skills(torch.arange(len(paths)), paths.shape[-1])
            else:
                run = args.folder / f"{name}-{seed}"
                quiet = ["--log-every", "50000"]
                train_missing(run, [args.preset, "--seed", str(seed), *VARIANTS[name][1].split(), *quiet, *more])
                shown, paths, numbers = played(run, seed)
            found.append(numbers)
            if seed == args.seeds[0]:
                title = "random policy" if name == "random" else VARIANTS[name][0].split(":")[0]
                page.fan(axis, paths, shown)
                axis.set_aspect("equal", adjustable="box")
                axis.set(xlim=(-0.5, 0.5), ylim=(-0.5, 0.5), xlabel="metres")
                axis.set_title(f"{title}: {numbers['coverage']:.0f} bins")
        label = "random policy" if name == "random" else VARIANTS[name][0]
        cells = [", ".join(f"{n[column]:.3g}" if column in n else "" for n in found) for column in columns]
        print(f"| {label} | " + " | ".join(cell.strip(", ") for cell in cells) + " |", flush=True)
    if args.out is not None:
        save(figure, args.out)


if __name__ == "__main__":
    main()
