"""Small archives of policies that were really played, and their pages."""

from pathlib import Path

import torch

import envs
from agents.archive import Archive
from agents.archive.tessellations import CVT, Grid, Tessellation, k_means_centroids
from agents.map_elites.solutions import Perceptrons, Players
from envs.batched import BatchedEnv
from views import archive_page, archives, motions

TASK, MEASURES = "walker_walk", ("left_foot_contact", "right_foot_contact", "torso_height")
SIDES = ((0.0, 1.0), (0.0, 1.0), (0.0, 1.5))
COUNT, CONTROL_STEPS = 97, 37  # solutions offered, and the length of their episodes
CURVES = {"QD score": (torch.arange(3).numpy(), torch.tensor([0.0, 2.0, 5.0]).numpy())}


def environments(count: int, seed: int = 0, measures: int = 2) -> BatchedEnv:
    return envs.make(TASK, count, measures=MEASURES[:measures], time_limit=CONTROL_STEPS, threads=1, seed=seed)


def cvt(cells: int = 29) -> Tessellation:
    return CVT(k_means_centroids(cells, SIDES[:2], 0, 5000), SIDES[:2])


def slabs(cells: int) -> Tessellation:
    """Return Voronoi cells that lie on each other, in three measures."""
    height = 1.5 / cells
    return CVT([[0.5, 0.5, (cell + 0.5) * height] for cell in range(cells)], SIDES)


def grid() -> Tessellation:
    return Grid((5, 7), SIDES[:2])


def filled(tessellation: Tessellation, seed: int) -> tuple[Archive, Perceptrons]:
    """Offer random policies, each with what a random episode gave, for as many episodes as there are."""
    env = environments(1)
    perceptrons = Perceptrons(env.observation_shapes["state"][0], env.action_dim, (11,))
    archive = Archive(tessellation, perceptrons.solution_dim)
    random = torch.Generator().manual_seed(seed)
    solutions = perceptrons.draw(COUNT, random) * 3  # (n, P)
    objective = torch.rand(COUNT, generator=random) * 50 - 5  # (n,)
    archive.add(solutions, objective, torch.rand(COUNT, archive.measure_dim, generator=random))
    return archive, perceptrons


def shown(name: str, tessellation: Tessellation, seed: int) -> tuple[archives.Shown, list[motions.Motion]]:
    """Return an archive as a page shows it, and what its elites did."""
    archive, perceptrons = filled(tessellation, seed)
    solutions, measures = archive.elites()["solution"], archive.measure_dim
    played = motions.record(Players(perceptrons, solutions), environments(len(solutions), seed + 1, measures))
    return archives.Shown(name, archive, MEASURES[:measures], archives.arrivals(archive), CURVES), played


def write(path: Path, *parts: tuple[archives.Shown, list[motions.Motion]]) -> Path:
    """Write a page of one archive or two."""
    maps = [shown.data(played) for shown, played in parts]
    archive_page.write(path, "Elites that <walk>", "two & more", "return", environments(1).model, maps)
    return path
