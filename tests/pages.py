"""Small archives of policies that were really played, and their pages."""

from pathlib import Path

import torch

import envs
from agents.archive import Archive
from agents.archive.tessellations import CVT, Grid, Tessellation, k_means_centroids
from agents.map_elites.solutions import Perceptrons, Players
from envs.batched import BatchedEnv
from views import archive_page, archives, motions

TASK, MEASURES = "walker_walk", ("left_foot_contact", "right_foot_contact")
SIDES = ((0.0, 1.0), (0.0, 1.0))
COUNT, CONTROL_STEPS = 97, 37  # solutions offered, and the length of their episodes
CURVES = {"QD score": (torch.arange(3).numpy(), torch.tensor([0.0, 2.0, 5.0]).numpy())}


def environments(count: int, seed: int = 0) -> BatchedEnv:
    return envs.make(TASK, count, measures=MEASURES, time_limit=CONTROL_STEPS, threads=1, seed=seed)


def cvt(cells: int = 29) -> Tessellation:
    return CVT(k_means_centroids(cells, SIDES, 0, 5000), SIDES)


def grid() -> Tessellation:
    return Grid((5, 7), SIDES)


def filled(tessellation: Tessellation, seed: int) -> tuple[Archive, Perceptrons]:
    """Offer random policies, each with what a random episode gave, for as many episodes as there are."""
    env = environments(1)
    perceptrons = Perceptrons(env.observation_shapes["state"][0], env.action_dim, (11,))
    archive = Archive(tessellation, perceptrons.solution_dim)
    random = torch.Generator().manual_seed(seed)
    solutions = perceptrons.draw(COUNT, random) * 3  # (n, P)
    objective = torch.rand(COUNT, generator=random) * 50 - 5  # (n,)
    archive.add(solutions, objective, torch.rand(COUNT, 2, generator=random))
    return archive, perceptrons


def shown(name: str, tessellation: Tessellation, seed: int) -> tuple[archives.Shown, list[motions.Motion]]:
    """Return an archive as a page shows it, and what its elites did."""
    archive, perceptrons = filled(tessellation, seed)
    solutions = archive.elites()["solution"]
    played = motions.record(Players(perceptrons, solutions), environments(len(solutions), seed + 1))
    return archives.Shown(name, archive, MEASURES, archives.arrivals(archive), CURVES), played


def write(path: Path, *parts: tuple[archives.Shown, list[motions.Motion]]) -> Path:
    """Write a page of one archive or two."""
    maps = [shown.data(played) for shown, played in parts]
    archive_page.write(path, "Elites that <walk>", "two & more", "return", environments(1).model, maps)
    return path
