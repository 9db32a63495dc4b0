"""Time one InfoPower update and the share of its parts: python tests/benchmarks/update.py [--compile]."""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import torch
from tensordict import TensorDict

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.acceleration import keep_memory
from agents.infopower import InfoPower, InfoPowerConfig
from agents.presets import AGENTS
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from world_models.slices import shift, slice_resets

ACTION_DIM = 6  # walker and cheetah
SPACES = Spaces({"pixels": (64, 64, 3)}, ACTION_DIM)


def filled_replay(rows: int, num_envs: int, device: str) -> ReplayBuffer:
    """A replay of random rows: the time of an update does not depend on what it learns."""
    replay = ReplayBuffer(rows * num_envs, num_envs, device)
    for t in range(rows):
        first = torch.full((num_envs,), t % 250 == 0)
        row = {
            "pixels": torch.randint(256, (num_envs, 64, 64, 3), dtype=torch.uint8),
            "action": torch.rand(num_envs, ACTION_DIM) * 2 - 1,
            "reward": torch.rand(num_envs),
            "is_first": first,
            "is_last": torch.zeros_like(first),
            "is_terminal": torch.zeros_like(first),
        }
        replay.add(TensorDict(row, batch_size=[num_envs], device=device))
    return replay


def median_ms(work: Callable[[], object], repeats: int, device: str) -> float:
    """Median time of one call in milliseconds, after two calls that are not counted."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times[2:])[repeats // 2]


def parts(agent: InfoPower, replay: ReplayBuffer) -> dict[str, Callable[[], object]]:
    """Each part of an update as a call of its own, forward and backward."""
    model, config = agent.model, agent.config
    rows, _ = replay.sample(config.batch, config.length)
    with torch.no_grad():
        embed = model.encoder(rows)
    action, reset = shift(rows["action"]), slice_resets(rows["is_first"])
    trace = model.observe(rows)

    def encoder() -> None:
        model.encoder(rows).sum().backward()

    def rssm() -> None:
        trace = model.posterior.observe(model.core, embed, action, reset)
        (trace.feat.sum() + trace.prior.mode().sum()).backward()

    def optimisers() -> None:
        for optimizer in agent.optimizers.values():
            optimizer.step()

    return {
        "sampling": lambda: replay.sample(config.batch, config.length),
        "encoder": encoder,
        "rssm": rssm,
        "imagination (actor and critic)": lambda: agent.update_behaviour(trace, rows),
        "optimisers": optimisers,
        "update": lambda: agent.update(replay),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", nargs="+", default=["infopower-small", "infopower"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile; needs a C++ compiler")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    keep_memory()
    print(f"{date.today()} {platform.processor() or platform.machine()} torch {torch.__version__}", end=" ")
    print(f"device {args.device} threads {args.threads}")
    for name in args.agents:
        config = AGENTS[name].agent
        assert isinstance(config, InfoPowerConfig)
        config = replace(config, compile="off", precision=args.precision)
        replay = filled_replay(100, 8, args.device)
        torch.manual_seed(0)
        agent = InfoPower(SPACES, config, args.device)
        times = {part: median_ms(work, args.repeats, args.device) for part, work in parts(agent, replay).items()}
        total = times.pop("update")
        sizes = f"{config.batch}x{config.length} rows, {config.horizon}x{config.starts} imagined"
        print(f"{name}: {total:.1f} ms an update ({sizes})")
        for part, spent in [*times.items(), ("heads, losses and the rest", total - sum(times.values()))]:
            print(f"    {part:32s} {spent:7.1f} ms {spent / total:6.1%}")
        if args.compile:
            torch.manual_seed(0)
            agent = InfoPower(SPACES, replace(config, compile="on"), args.device)
            spent = median_ms(partial(agent.update, replay), args.repeats, args.device)
            print(f"    compiled: {spent:.1f} ms an update")


if __name__ == "__main__":
    main()
