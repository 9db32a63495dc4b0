"""Ball in cup: catch (dm_control.suite.ball_in_cup)."""

import numpy as np
import torch
from dm_control.suite import ball_in_cup as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.task import Context, X, Z, avoid_contacts, load, position


class BallInCup:
    """Swing the ball into the cup."""

    fields = ("qpos", "qvel", "xpos", "site_xpos")
    model_fields = ()
    terminal = None

    def __init__(self) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), 0.02, 20)
        self.ball, self.cup = self.model.body("ball").id, self.model.site("target").id
        room = self.model.site("target").size[[X, Z]] - self.model.geom("ball").size[0]
        self.room = torch.from_numpy(room)  # (2,) how far from the middle the ball is still inside
        self.signals = {"position": signals.body_position(self.model, "ball", X, Z)}
        self.measures = {
            "ball_height": measures.height(self.model, "ball"),
            "ball_highest": measures.height(self.model, "ball", "maximum"),
            "ball_displacement_x": measures.displacement(self.model, "ball", X),
            "ball_speed": measures.speed(self.model, "ball_x", "ball_z"),
            "cup_speed": measures.speed(self.model, "cup_x", "cup_z"),
        }

    def observe(self, c: Context) -> Tensor:
        return torch.cat([c["qpos"], c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        to_target = c["site_xpos"][:, self.cup] - c["xpos"][:, self.ball]  # (N, 3)
        return (to_target[:, X :: Z - X].abs() < self.room).all(1).to(to_target.dtype)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        ball_x, ball_z = position(self.model, "ball_x"), position(self.model, "ball_z")

        def draw(rows: np.ndarray) -> None:
            draws["qpos"][rows, ball_x] = random.uniform(-0.2, 0.2, len(rows))
            draws["qpos"][rows, ball_z] = random.uniform(0.2, 0.5, len(rows))

        avoid_contacts(draws, draw)


TASKS = {"ball_in_cup_catch": BallInCup}
