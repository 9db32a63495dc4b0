"""What states hold where no reward comes: python tests/benchmarks/rewardless.py [--only FORM ...] [--tasks TASK ...].

World models alone, trained on what a random policy saw in front of videos, every reward erased, then asked about
episodes in front of held-out videos: linear probes of the agent's state and of the background, and what the inverse
model knows. Forms differ in how much empowerment weighs beside the KL, of which the posterior pays 0.3 times. All forms
of one task and seed see the same rows. Trains what FOLDER does not have yet; then prints a table for each task, means
over seeds with 95 % bootstrap intervals, and draws it with --write.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from tensordict import TensorDict
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.command_line import answered, parse
from agents.config import Config
from agents.evaluation import RandomPolicy, evaluate
from agents.examination import diagnose
from agents.generators import seed_generators
from agents.infopower import InfoPower
from agents.presets import AGENTS
from agents.replay import ReplayBuffer
from agents.runs.statistics import bootstrap_interval
from agents.runs.tensor_folder import replace
from envs.cores import cores
from train import make_agent, make_envs
from views.curves import save
from views.progress import Progress

WEIGHTS = ("0", "1", "3", "10", "30")  # of empowerment in the model
FORMS = {f"empowerment {weight}": f"infopower-small --agent.model.inverse-scale {weight}" for weight in WEIGHTS} | {
    "empowerment 0, lambda from 1": "infopower-small --agent.model.inverse-scale 0 --agent.model.dual-init 1",
    "c-dreamer-small": "c-dreamer-small",
    "infopower-plus-small": "infopower-plus-small",
}
ENVIRONMENTS, EPISODES, HELD_OUT = 16, 6, 20  # episodes of each environment; episodes to be asked about
COLUMNS = {
    "agent from z": "probe/state/stoch",
    "from h, z": "probe/state/feat",
    "background from z": "probe/distractor/stoch",
    "neighbours": "geometry/neighbours",
    "I(O;Z), nats": "information/observation",
    "inverse, its codes": "inverse/seen",
    "codes of others": "inverse/shuffled",
    "KL, nats": "model/kl",
}


def words_of(task: str, form: str) -> list[str]:
    """Say a form as train.py's command line does."""
    return [*FORMS[form].split(), "--task", task, "--distraction", "video", "--threads", "1"]


def keep(replay: ReplayBuffer, row: TensorDict) -> None:
    """Add a row without its reward."""
    replay.add(row.set("reward", torch.zeros_like(row["reward"])))


def play(config: Config[Any], num_envs: int, episodes: int, seed: int, videos: str) -> ReplayBuffer:
    """Let a random policy play, and keep what it saw."""
    envs = make_envs(config, num_envs=num_envs, seed=seed, video_split=videos, state=True, distractor=True)
    replay = ReplayBuffer(num_envs * (envs.episode_length + 1) * episodes, num_envs)
    evaluate(RandomPolicy(envs.action_dim, "cpu", seed), envs, num_envs * episodes, watch=partial(keep, replay))
    envs.close()
    return replay


def train(config: Config[Any], seed: int, updates: int, seen: ReplayBuffer, held_out: ReplayBuffer) -> dict[str, float]:
    """Train a world model on what was seen, and examine it on what was held out."""
    seed_generators(seed)
    envs = make_envs(config, num_envs=1)
    agent = make_agent(config, envs)
    envs.close()
    assert isinstance(agent, InfoPower)
    kl = []
    for _ in range(updates):
        kl.append(agent.update_model(agent.sample(seen))[1]["model/kl"])
    torch.manual_seed(0)
    found = agent.examine(held_out) | diagnose(agent, held_out.latest(held_out.size), thorough=False)
    found["model/kl"] = torch.stack(kl[-100:]).mean()
    return {name: value.item() for name, value in found.items()}


def path_of(folder: Path, task: str, form: str, seed: int) -> Path:
    return folder / f"{task}-{form.replace(' ', '-').replace(',', '')}-{seed}.json"


def train_missing(folder: Path, forms: Sequence[str], updates: int, task_and_seed: tuple[str, int]) -> None:
    """Train all forms that the folder does not have of one task and seed, on the same rows."""
    torch.set_num_threads(1)
    task, seed = task_and_seed
    missing = [form for form in forms if not path_of(folder, task, form, seed).exists()]
    if not missing:
        return
    configs = {form: parse(words_of(task, form), AGENTS).config for form in missing}
    config = configs[missing[0]]
    seen = play(config, ENVIRONMENTS, EPISODES, seed, "train")
    held_out = play(config, HELD_OUT, 1, 1000 + seed, "held_out")
    progress = Progress(len(missing))
    for form, config in configs.items():
        path = path_of(folder, task, form, seed)
        replace(path, (json.dumps(train(config, seed, updates, seen, held_out), indent=1) + "\n").encode())
        progress.advance(form)
        progress.clear()
        print(f"{path}   of {task}, seed {seed}: {progress.left()} left", flush=True)


def read(folder: Path, task: str, forms: Sequence[str], seeds: Sequence[int]) -> dict[str, dict[str, Tensor]]:
    """Return each measure (S,) of the forms that are there with all seeds."""
    found = {}
    for form in forms:
        paths = [path_of(folder, task, form, seed) for seed in seeds]
        if all(path.exists() for path in paths):
            rows = [json.loads(path.read_text()) for path in paths]
            found[form] = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    return found


def cell(values: Tensor | None) -> str:
    """Lay out seeds (S,), if there are any: their mean and its interval."""
    if values is None:
        return ""
    low, high = bootstrap_interval(values)
    return f"{values.mean():z.2f} ({low:z.2f} to {high:z.2f})"


def table(found: Mapping[str, Mapping[str, Tensor]]) -> str:
    """Lay out what forms hold."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for form, measures in found.items():
        lines.append(f"| {form} | " + " | ".join(cell(measures.get(name)) for name in COLUMNS.values()) + " |")
    return "\n".join(lines)


def draw(tasks: Mapping[str, Mapping[str, Mapping[str, Tensor]]]) -> Figure:
    """Draw what z holds of the agent and of the background, by task and form: bars are means, points seeds."""
    figure, axes = plt.subplots(1, len(tasks), figsize=(9 * len(tasks), 4), sharey=True, layout="constrained")
    for axis, (task, found) in zip([axes] if len(tasks) == 1 else axes, tasks.items(), strict=True):
        for side, (target, label) in enumerate({"state": "the agent", "distractor": "the background"}.items()):
            values = torch.stack([measures[f"probe/{target}/stoch"] for measures in found.values()], 1)  # (S, F)
            places = torch.arange(values.shape[1]) + 0.4 * side - 0.2  # (F,)
            axis.bar(places, values.mean(0), 0.38, color=f"C{side}", alpha=0.5, label=label)
            axis.plot(places, values.T, ".", color=f"C{side}")
        labels = [form.removeprefix("empowerment ").removesuffix("-small") for form in found]
        labels = [label.replace(", lambda", ",\nlambda") for label in labels]
        axis.set_xticks(range(len(found)), labels, fontsize="small")
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(title=f"{task}, no reward", xlabel="weight of empowerment in the model")
        axis.set_ylabel("R² of linear probes from z, other episodes")
        axis.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/rewardless"))
    parser.add_argument("--tasks", nargs="+", default=["walker_run", "cheetah_run"])
    parser.add_argument("--only", nargs="+", default=list(FORMS), choices=FORMS, metavar="FORM", help=", ".join(FORMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(4)))
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--write", type=Path, help="PNG for the picture")
    with answered("interrupted; what is trained is kept"):
        run(parser.parse_args())


def run(args: argparse.Namespace) -> None:
    """Train what is missing, and print and draw what is there."""
    args.folder.mkdir(parents=True, exist_ok=True)
    work = [(task, seed) for seed in args.seeds for task in args.tasks]
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(train_missing, args.folder, args.only, args.updates), work))
    tasks = {task: read(args.folder, task, args.only, args.seeds) for task in args.tasks}
    for task, found in tasks.items():
        print(f"\n{task}: seeds {', '.join(map(str, args.seeds))}\n\n{table(found)}")
    if args.write:
        save(draw(tasks), args.write)


if __name__ == "__main__":
    main()
