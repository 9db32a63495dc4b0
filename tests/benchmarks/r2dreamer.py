"""Time one update of ours beside R2-Dreamer's: python tests/benchmarks/r2dreamer.py --peer PATH [--threads 1 2].

PATH is a clone of github.com/NM512/r2dreamer, which is run as it is, with its own settings but for sizes; on processors
without autocast, which is slower there, and without torch.compile but for --compile, which compiles both. An update is
one gradient step of world model, actor and critic. Equal are batch and length of slices, channels of the encoder, all
sizes of the state, widths of the heads, the horizon, the states that are imagined from (every one of the batch), and
REINFORCE as the actor's gradient. Ours also draws its batch from a replay. Each runs in a process of its own, and they
take turns.
"""

import argparse
import ast
import importlib
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Literal

import torch
from tensordict import TensorDict

sys.path.insert(0, str(Path(__file__).parents[2]))

from update import ACTION_DIM, filled_replay

from agents.acceleration import keep_memory
from agents.infopower import InfoPower, InfoPowerConfig
from agents.spaces import Spaces
from world_models.r2 import R2ModelConfig

# batch, length, deter, hidden units everywhere, channels of the encoder are 2, 3, 4 and 4 times the depth
SIZES = {"small": (12, 20, 128, 128, 8), "large": (16, 64, 512, 256, 16)}
STOCH, CLASSES, HORIZON = 32, 16, 15
spawned = multiprocessing.get_context("spawn")


class Settings(dict[str, Any]):
    """A tree whose branches are also attributes, as the peer reads them."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def read(path: Path, sizes: dict[str, Any]) -> Settings:
    """Read a tree of names, numbers and texts as the peer writes them; `${a.b}` is looked up in `sizes` by its b."""
    tree = Settings()
    open_at = [(-1, tree)]  # indentation and branch
    for line in path.read_text().splitlines():
        name, _, text = line.split(" #")[0].partition(":")
        if not name.strip():
            continue
        indent, text = len(name) - len(name.lstrip()), text.strip()
        while open_at[-1][0] >= indent:
            open_at.pop()
        branch = open_at[-1][1]
        if not text:
            open_at.append((indent, branch.setdefault(name.strip(), Settings())))
        else:
            branch[name.strip()] = sizes[text[2:-1].split(".")[-1]] if text.startswith("${") else value(text)
    return tree


def value(text: str) -> Any:
    try:
        return None if text == "null" else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def theirs(peer: Path, size: str, device: str, compile: bool) -> Callable[[], object]:
    """Return an update of the peer's agent on one batch that is always the same."""
    batch, length, deter, units, depth = SIZES[size]
    sizes: dict[str, Any] = {"deter": deter, "hidden": units, "units": units, "depth": depth, "discrete": CLASSES}
    sizes |= {"act": "SiLU", "norm": True, "device": device, "cnn_keys": "image", "mlp_keys": "$^"}
    settings: Any = read(peer / "configs" / "model" / "_base_.yaml", sizes)
    settings |= {"compile": compile, "imag_horizon": HORIZON}
    settings.rssm.stoch = STOCH
    sys.path.insert(0, str(peer))
    module: Any = importlib.import_module("dreamer")
    sys.path.remove(str(peer))
    if device == "cpu":
        module.autocast = lambda **_: nullcontext()
    pixels, action = SimpleNamespace(shape=(64, 64, 3)), SimpleNamespace(shape=(ACTION_DIM,))
    agent = module.Dreamer(settings, SimpleNamespace(spaces={"image": pixels}), action).to(device)
    flags = {name: torch.zeros(batch, length, 1).bool() for name in ("is_last", "is_terminal")}
    rows = {
        "image": torch.randint(256, (batch, length, 64, 64, 3), dtype=torch.uint8),
        "action": torch.rand(batch, length, ACTION_DIM) * 2 - 1,
        "reward": torch.rand(batch, length, 1),
        "is_first": torch.zeros(batch, length).bool(),
    }
    rows = TensorDict(rows | flags, batch_size=[batch, length]).to(device)
    initial = agent.rssm.initial(batch)
    held = SimpleNamespace(sample=lambda: (rows.clone(), None, initial), update=lambda *_: None)
    return partial(agent.update, held)


def ours(
    size: str, posterior: Literal["observation", "recurrent"], device: str = "cpu", compile: bool = False
) -> Callable[[], object]:
    """Return an update of our agent with the same objective, on batches from a replay, with memory as in training."""
    keep_memory()
    batch, length, deter, units, depth = SIZES[size]
    model = R2ModelConfig(
        convolutions=((2 * depth, 4, 2), (3 * depth, 4, 2), (4 * depth, 4, 2), (4 * depth, 4, 2)),
        embed=4 * depth * 4 * 4,
        deter=deter,
        stoch=STOCH,
        classes=CLASSES,
        hidden=units,
        latent="categorical",
        posterior=posterior,
    )
    options: dict[str, Any] = {"batch": batch, "length": length, "horizon": HORIZON, "starts": batch * length}
    options |= {"compile": "on" if compile else "off", "actor_gradient": "reinforce"}
    config = InfoPowerConfig(model, **options, hidden=units, empowerment=0.0)
    agent = InfoPower(Spaces({"pixels": (64, 64, 3)}, ACTION_DIM), config, device)
    return partial(agent.update, filled_replay(100, 8, device))


def answer(pipe: Connection, make: Callable[[], Callable[[], object]]) -> None:
    """Make an update, and answer each number of threads by the seconds that it took with so many."""
    torch.set_flush_denormal(True)
    update = make()
    while threads := pipe.recv():
        torch.set_num_threads(threads)
        start = time.perf_counter()
        update()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        pipe.send(time.perf_counter() - start)


def measure(pipes: dict[str, Connection], threads: int, repeats: int) -> dict[str, list[float]]:
    """Return seconds of each, in turns; the first two turns warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in pipes}
    for _ in range(repeats + 2):
        for name, pipe in pipes.items():
            pipe.send(threads)
            seconds[name].append(pipe.recv())
    return {name: turns[2:] for name, turns in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, required=True, help="clone of github.com/NM512/r2dreamer")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true", help="compile both")
    arguments = parser.parse_args()
    print(f"{date.today()} {platform.machine()} torch {torch.__version__}")
    for size in arguments.sizes:
        how = arguments.device, arguments.compile
        makers: dict[str, Callable[[], Callable[[], object]]] = {"theirs": partial(theirs, arguments.peer, size, *how)}
        for posterior in ("recurrent", "observation"):
            makers[f"ours, {posterior}"] = partial(ours, size, posterior, *how)
        pipes = {}
        for name, make in makers.items():
            pipes[name], end = spawned.Pipe()
            spawned.Process(target=answer, args=(end, make), daemon=True).start()
        for threads in arguments.threads:
            found = measure(pipes, threads, arguments.repeats)
            for name, turns in found.items():
                ratio = median(found["theirs"]) / median(turns)
                spread = f"{min(turns):6.3f} to {max(turns):6.3f}"
                print(f"{size}, {threads} threads, {name:20}{median(turns):8.3f} s  ({spread})  {ratio:5.2f}x")
        for pipe in pipes.values():
            pipe.send(0)


if __name__ == "__main__":
    main()
