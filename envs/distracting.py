"""The Distracting Control Suite's moving camera and changing colours, in its dynamic setting (arXiv 2101.02722).

The third part, a video as the sky, is `backdrops.Clips`. Numbers are those of the suite's public code
(google-research/distracting_control). Angles are in radians, speeds in metres or radians a control step.
"""

import math
from collections.abc import Mapping

import mujoco
import torch
from torch import Tensor

from envs.generators import go_on
from envs.scene import Scene

SCALES = {"easy": 0.1, "medium": 0.2, "hard": 0.3}
VIDEOS = {"easy": 4, "medium": 8, "hard": 60}
PARTS = ("background", "camera", "colour")
NAMES = tuple(f"dcs-{level}{part}" for level in SCALES for part in ("", *(f"-{part}" for part in PARTS)))
LENGTH = 70  # frames of a generated video, the mean of the suite's own (DAVIS 2017)


def parts(name: str) -> tuple[str, ...]:
    """Say which parts of the suite a distraction has: all of "dcs-easy", one of "dcs-easy-camera", none of others."""
    if name not in NAMES:
        return ()
    return PARTS if name.count("-") == 1 else (name.rsplit("-", 1)[1],)


def level(name: str) -> str:
    """Say how difficult a distraction of the suite is."""
    return name.split("-")[1]


def replaced(name: str, task: str, background: str) -> tuple[str, float]:
    """Say what a distraction's video replaces and how much of the floor stays in front of it; `background` for others.

    See `renderer.Renderer`. The suite shows a video as the sky, and through the floor where the floor hides it.
    """
    if "background" not in parts(name):
        return background, 0.0
    if task.startswith(("walker_", "cheetah_")):
        return "sky+grid", 1.0
    return "sky+grid", 0.0 if task.startswith("reacher_") else 0.3


class Camera:
    """Walk each environment's camera at random on a part of a shell around the agent, looking at it, and roll it.

    Every episode begins at a random place, speed and roll. A camera that stands still in the model walks around the
    world's origin and looks at the point that the model's camera has before it, as far away as the agent when the
    episode begins; one that follows the agent does so around the agent's centre of mass.
    """

    fields: tuple[str, ...] = ("subtree_com",)
    _state = ("start", "place", "velocity", "roll", "spin", "aim")

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, scale: float, seed: int, device: torch.device, camera: int = 0
    ) -> None:
        self._camera, self._num_envs, self._scale, self._device = camera, num_envs, scale, device
        self._follows = model.cam_mode[camera] != int(mujoco.mjtCamLight.mjCAMLIGHT_FIXED)
        self._overhead = model.cam_mat0[camera, 8] > 0.999  # looks straight down, as reacher's does
        self._generator = torch.Generator(device).manual_seed(seed)
        self.start = torch.zeros(num_envs, 3, device=device)  # radius, azimuth, polar angle of the model's camera
        self.place, self.velocity, self.aim = (torch.zeros_like(self.start) for _ in range(3))
        self.roll, self.spin = torch.zeros(2, num_envs, device=device)

    def advance(self, is_first: Tensor, steps: int, action: Tensor, poses: Mapping[str, Tensor]) -> None:
        """Walk on by `steps` control steps; rows that begin an episode do so from a new place, by one at least."""
        eye, aim, centre = self._model_camera(poses)
        start = spherical(eye - centre)
        low, high = self._limits(start)
        share = torch.rand(self._num_envs, 6, generator=self._generator, device=self._device)
        heading = self._normal(self._num_envs, 3)
        speed = 0.4 * self._scale * share[:, 3:4]
        begun = {
            "start": start,
            "aim": aim,
            "place": low + (high - low) * share[:, :3],
            "velocity": speed * heading / heading.norm(dim=1, keepdim=True),
            "roll": math.pi / 2 * self._scale * (2 * share[:, 4] - 1),
            "spin": math.pi / 50 * self._scale * (2 * share[:, 5] - 1),
        }
        before = {name: getattr(self, name) for name in self._state}
        self._merge(is_first, begun, before)
        for _ in range(max(steps, 1)):
            self._walk()
        if steps == 0:  # only those that begin take the one step
            self._merge(is_first, {name: getattr(self, name) for name in self._state}, before)

    def apply(self, scene: Scene) -> Scene:
        """Return the scene as this camera sees it."""
        _, aim, centre = self._model_camera(scene.poses)
        eye = centre + cartesian(self.place)
        gaze = (aim if self._follows else self.aim) - eye
        gaze = gaze / gaze.norm(dim=1, keepdim=True)
        turn = roll(self.roll)
        axes = (turned_down(gaze) if self._overhead else level_with(gaze)) @ turn  # (N, 3, 3)
        cam_xpos, cam_xmat = scene.poses["cam_xpos"].clone(), scene.poses["cam_xmat"].clone()
        cam_xpos[:, self._camera] = eye.to(cam_xpos.dtype)
        cam_xmat[:, self._camera] = axes.flatten(1).to(cam_xmat.dtype)
        return scene._replace(poses={**scene.poses, "cam_xpos": cam_xpos, "cam_xmat": cam_xmat})

    def seed(self, seed: int) -> None:
        """Draw from another seed from now on."""
        self._generator.manual_seed(seed)

    def state_dict(self) -> dict[str, Tensor]:
        """Return where the cameras are, how they move, and what will be drawn."""
        return {name: getattr(self, name).clone() for name in self._state} | {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state` was taken."""
        for name in self._state:
            setattr(self, name, state[name].to(self._device, copy=True))
        go_on(self._generator, state["generator"])

    def _merge(self, rows: Tensor, new: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> None:
        """Take over what is new in rows (N,) bool and what is old elsewhere."""
        for name in self._state:
            mask = rows.view(-1, *[1] * (old[name].ndim - 1))
            setattr(self, name, torch.where(mask, new[name], old[name]))

    def _walk(self) -> None:
        """Take one control step."""
        scale, pace = self._scale, self.start[:, :1] / 4  # (N, 1) cameras near the agent are slower
        velocity = self.velocity + 0.1 * scale * pace * self._normal(self._num_envs, 3)
        most = 0.4 * scale * pace
        velocity = velocity * (most / velocity.norm(dim=1, keepdim=True)).clamp(max=1)
        before = cartesian(self.place)
        after = spherical(before + velocity)
        # An azimuth is the same with another turn: the one nearest to the start.
        azimuth = self.start[:, 1] + torch.remainder(after[:, 1] - self.start[:, 1] + math.pi, 2 * math.pi) - math.pi
        after[:, 1] = azimuth
        self.place = after.clamp(*self._limits(self.start))
        self.velocity = cartesian(self.place) - before
        spin = self.spin + math.pi / 300 * scale * self._normal(self._num_envs)
        spin = spin.clamp(-math.pi / 50 * scale, math.pi / 50 * scale)
        turned = (self.roll + spin).clamp(-math.pi / 2 * scale, math.pi / 2 * scale)
        self.spin, self.roll = turned - self.roll, turned

    def _limits(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Say how near, far, and to which sides the cameras may go: (N, 3) each."""
        radius, azimuth, polar = start.unbind(1)
        low = torch.stack([radius * (1 - 0.5 * self._scale), azimuth, polar], 1)
        high = torch.stack([radius * (1 + 1.5 * self._scale), azimuth, polar], 1)
        low[:, 1:] -= math.pi / 2 * self._scale
        high[:, 1:] += math.pi / 2 * self._scale
        if not self._overhead:  # above the floor and, where the model's camera is, in front of the agent
            low[:, 2].clamp_(min=0)
            high[:, 2].clamp_(max=math.pi / 2)
            in_front = azimuth <= 0
            low[:, 1] = torch.where(in_front, low[:, 1].clamp(min=-math.pi), low[:, 1])
            high[:, 1] = torch.where(in_front, high[:, 1].clamp(max=0), high[:, 1])
        return low, high

    def _model_camera(self, poses: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Say where the model's camera stands, at what it looks, and what it walks around: (N, 3) each."""
        eye, axes = (poses[name][:, self._camera].float() for name in ("cam_xpos", "cam_xmat"))
        agent = poses["subtree_com"][:, 1].float()  # of the first body and all that hangs on it
        aim = eye - (eye - agent).norm(dim=1, keepdim=True) * axes.view(-1, 3, 3)[:, :, 2]  # cameras look along -z
        return eye, aim, agent if self._follows else torch.zeros_like(eye)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._generator, device=self._device)


class Colours:
    """Walk the colours of each environment's materials at random, from new ones in every episode."""

    fields: tuple[str, ...] = ()

    def __init__(self, model: mujoco.MjModel, num_envs: int, scale: float, seed: int, device: torch.device) -> None:
        clean = torch.from_numpy(model.mat_rgba[:, :3].copy()).to(device).expand(num_envs, -1, -1)
        self._low, self._high = (clean - scale).clamp(min=0), (clean + scale).clamp(max=1)  # (N, materials, 3)
        self._step = 0.03 * scale
        self._generator = torch.Generator(device).manual_seed(seed)
        self._colours = clean.clone()

    def advance(self, is_first: Tensor, steps: int, action: Tensor, poses: Mapping[str, Tensor]) -> None:
        """Walk on by `steps` control steps; rows that begin an episode get new colours."""
        for _ in range(steps):
            stride = torch.randn(self._low.shape, generator=self._generator, device=self._low.device)
            self._colours = (self._colours + self._step * stride).clamp(self._low, self._high)
        share = torch.rand(self._low.shape, generator=self._generator, device=self._low.device)
        self._colours = torch.where(is_first.view(-1, 1, 1), self._low.lerp(self._high, share), self._colours)

    def apply(self, scene: Scene) -> Scene:
        """Return the scene in these colours."""
        return scene._replace(colours=self._colours)

    def seed(self, seed: int) -> None:
        """Draw from another seed from now on."""
        self._generator.manual_seed(seed)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the colours and what will be drawn."""
        return {"colours": self._colours.clone(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state` was taken."""
        self._colours = state["colours"].to(self._low.device, copy=True)
        go_on(self._generator, state["generator"])


def spherical(point: Tensor) -> Tensor:
    """Turn x, y, z (N, 3) into radius, azimuth and polar angle from above (N, 3)."""
    x, y, z = point.unbind(1)
    return torch.stack([point.norm(dim=1), torch.atan2(y, x), torch.atan2(torch.hypot(x, y), z)], 1)


def cartesian(place: Tensor) -> Tensor:
    """Turn radius, azimuth and polar angle (N, 3) into x, y, z (N, 3)."""
    radius, azimuth, polar = place.unbind(1)
    across = radius * polar.sin()
    return torch.stack([across * azimuth.cos(), across * azimuth.sin(), radius * polar.cos()], 1)


def level_with(gaze: Tensor) -> Tensor:
    """Point a camera along unit vectors (N, 3) with its x axis level: rotation matrices (N, 3, 3)."""
    heading = torch.atan2(gaze[:, 0], gaze[:, 1])
    right = torch.stack([heading.cos(), -heading.sin(), torch.zeros_like(heading)], 1)
    return torch.stack([right, torch.linalg.cross(right, gaze), -gaze], 2)


def turned_down(gaze: Tensor) -> Tensor:
    """Turn a camera that looks down, by the shortest way, along unit vectors (N, 3): rotation matrices (N, 3, 3)."""
    x, y, z = gaze.unbind(1)
    k = 1 / (1 - z)  # the axis is (y, -x, 0), the angle's cosine -z
    rows = [1 - k * x * x, -k * x * y, -x, -k * x * y, 1 - k * y * y, -y, x, y, -z]
    return torch.stack(rows, 1).view(-1, 3, 3)


def roll(angle: Tensor) -> Tensor:
    """Turn a camera about the direction it looks back to: rotation matrices (N, 3, 3)."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).view(-1, 3, 3)
