"""Skies, half-transparent floors and colours against MuJoCo Warp's own sky and pictures worked by hand; CUDA."""

import math

import mujoco
import numpy as np
import pytest
import torch
from test_renderer import SPHERE, is_sentinel, poses, random_states, sentinel, shifted_spheres
from torch import Tensor

import envs
from envs import distractions, renderer, warp_runtime
from envs.renderer import Renderer
from envs.scene import Backdrop

SKY = """
<mujoco>
  <asset><texture type="skybox" builtin="flat" width="5" height="30"/></asset>
  <worldbody><camera fovy="70"/><geom size="0.1" pos="0 0 50"/></worldbody>
</mujoco>
"""


def test_the_sky_is_where_a_skybox_would_show_it() -> None:
    model, random = mujoco.MjModel.from_xml_string(SKY), np.random.default_rng(0)
    frames = random.integers(256, size=(3, 5, 5, 3), dtype=np.uint8)
    model.tex_data[:] = np.tile(frames[1].ravel(), 6)  # on each face
    directions = 31
    kinematics = poses(model, [model.qpos0] * directions)
    turns = np.linalg.qr(random.normal(size=(directions, 3, 3)))[0]
    turns *= np.linalg.det(turns)[:, None, None]  # rotations, no reflections
    kinematics["cam_xmat"] = torch.from_numpy(turns).flatten(1).unsqueeze(1)
    drawing = Renderer(model, directions, 17)
    backdrop = Backdrop(torch.from_numpy(frames), torch.ones(directions, dtype=torch.int32), around=True)
    skybox, video = drawing.render(kinematics), drawing.render(kinematics, backdrop)
    assert (skybox.int() - video.int()).abs().max() <= 1
    assert skybox.float().std() > 30


def test_the_sky_goes_on_behind_what_is_drawn() -> None:
    model, kinematics = shifted_spheres(3)
    drawing = Renderer(model, 3, 19)
    window, around = sentinel(19, 3), sentinel(7, 3)._replace(around=True)
    assert torch.equal(drawing.render(kinematics, window), drawing.render(kinematics, around))


@pytest.mark.parametrize(
    ("background", "opacity", "ground"),
    [
        ("sky", 0.0, [0, 102, 0]),
        ("sky+floor", 0.0, [1, 254, 3]),
        ("sky+floor", 0.3, [1, 208, 2]),  # 0.3 of 0, 102, 0 and 0.7 of 1, 254, 3
        ("sky+floor", 1.0, [0, 102, 0]),
        ("sky+grid", 0.0, [0, 102, 0]),
    ],
)
@pytest.mark.parametrize("around", [False, True])
def test_of_the_floor_its_opacity_stays(background: str, opacity: float, ground: list[int], around: bool) -> None:
    model, kinematics = shifted_spheres(3)
    video = sentinel(17, 3)._replace(around=around)
    image = Renderer(model, 3, 17, background, opacity).render(kinematics, video)
    assert image[:, 16, 0].tolist() == [ground] * 3
    assert is_sentinel(image[:, 0]).all()  # the sky
    if background == "sky+floor":  # a material named grid is the floor that "sky+grid" knows
        grid = mujoco.MjModel.from_xml_string(SPHERE.replace("grass", "grid"))
        assert torch.equal(image, Renderer(grid, 3, 17, "sky+grid", opacity).render(kinematics, video))


@pytest.mark.parametrize("threads", [1, 3])
def test_each_environment_has_its_colours(threads: int) -> None:
    """A material that emits all of its light shows its colour as it is."""
    num_envs = 13
    model, kinematics = shifted_spheres(num_envs)
    kinematics = {name: value[2:3].expand_as(value) for name, value in kinematics.items()}
    drawing = Renderer(model, num_envs, 17, threads=threads)
    clean = drawing.render(kinematics)
    colours = torch.tensor([[[k, 255 - k, 51], [k, 0, 0]] for k in range(num_envs)]) / 255
    coloured = drawing.render(kinematics, colours=colours)
    assert coloured[:, 8, 8].tolist() == [[k, 255 - k, 51] for k in range(num_envs)]
    assert coloured[:, 16, 8].tolist() == [[k // 2, 0, 0] for k in range(num_envs)]  # half of it
    assert torch.equal(drawing.render(kinematics), clean)


SITES = """
<mujoco>
  <visual><headlight active="0"/></visual>
  <asset><material name="glow" rgba="1 0.2 0.6 1" emission="1" specular="0"/></asset>
  <worldbody>
    <light active="false"/>
    <camera pos="0 -4 0" xyaxes="1 0 0 0 0 1" fovy="45"/>
    <geom name="hidden" size="0.1" group="4"/>
    <site name="unseen" size="0.5" group="3" material="glow"/>
    <site name="clear" size="0.5" rgba="0 1 0 0" material="glow"/>
    <body><joint type="slide" axis="1 0 0"/><geom size="0.1" group="3"/><site size="0.3" material="glow"/></body>
    <site size="0.3" pos="0 0 1" rgba="0 0.4 0 1" material="glow"/>
  </worldbody>
  SKIN
</mujoco>
"""
SKIN = """
<deformable><skin vertex="0 0 0 1 0 0 0 0 1" face="0 1 2">
<bone body="world" bindpos="0 0 0" bindquat="1 0 0 0" vertid="0 1 2" vertweight="1 1 1"/></skin></deformable>
"""


def test_visible_sites_are_drawn_where_they_are() -> None:
    model = mujoco.MjModel.from_xml_string(SITES.replace("SKIN", ""))
    kinematics = poses(model, [np.array([0.5 * n - 1]) for n in range(5)])
    drawing = Renderer(model, 5, 33)
    assert set(drawing.fields) == set(kinematics)
    image, behind = drawing.render(kinematics), drawing.render(kinematics, sentinel(33, 5))
    for n in range(5):
        across = 16.5 + (0.5 * n - 1) / (4 * math.tan(math.radians(22.5))) * 16.5  # in pixels
        column = int(across)
        assert image[n, 16, column].tolist() == [255, 51, 153]
        seen = (image[n] != 0).any(-1)
        assert torch.equal(seen, ~is_sentinel(behind[n]))
        width = 0.3 / (4 * math.tan(math.radians(22.5))) * 33 * 2 / 2
        assert abs(seen[16].sum().item() - width) < 1.5
        assert image[n, 16 - int(16.5 / (4 * math.tan(math.radians(22.5)))), 16].tolist() == [0, 102, 0]


@pytest.mark.parametrize(("skin", "width"), [("", 0), (SKIN, 4)])
def test_what_collides_is_drawn_below_a_skin(skin: str, width: int) -> None:
    """A sphere of radius 0.1 seen from 4 away is 33 * 0.2 / (8 tan 22.5 degrees) = 2 pixels wide, of 0.2 it is 4."""
    text = (
        SITES.replace("SKIN", skin)
        .replace('size="0.3"', 'size="0.01"')
        .replace('size="0.1" group="3"', 'size="0.2" group="3"')
    )
    model = mujoco.MjModel.from_xml_string(text)
    image = Renderer(model, 1, 32).render(poses(model, [model.qpos0]), sentinel(32, 1))
    assert (~is_sentinel(image[0])).any(0).sum() == width


@pytest.mark.parametrize("task", ["quadruped_walk", "dog_fetch", "dog_stand", "finger_turn_hard"])
def test_the_agent_is_in_the_picture_and_not_tiny(task: str) -> None:
    env = envs.make(task, pixels=True)
    env.reset()
    image = Renderer(env.model, 1, 64, camera=env.camera).render(env.kinematics, sentinel(64, 1))
    assert (~is_sentinel(image[0, 8:56, 8:56])).sum() > 60


def test_a_recorded_graph_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA, here on the processor."""
    model, states = random_states("walker", "stand", 6)
    kinematics, colours = poses(model, states), torch.rand(2, 3, model.nmat, 3)
    plain = Renderer(model, 3, 29, threads=1)
    monkeypatch.setattr(warp_runtime, "GRAPHS", ("cpu",))
    recorded = Renderer(model, 3, 29, threads=1)
    for k in range(2):
        some = {name: value[3 * k : 3 * k + 3] for name, value in kinematics.items()}
        for video in (None, sentinel(29, 3)):
            assert torch.equal(recorded.render(some, video, colours[k]), plain.render(some, video, colours[k]))


@pytest.mark.parametrize("task", ["quadruped_escape", "ball_in_cup_catch", "finger_turn_hard"])
def test_a_recorded_graph_draws_other_ground_strings_and_sites(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA, here on the processor."""
    env = envs.make(task, 3, seed=4)
    plain = Renderer(env.model, 3, 29, camera=env.camera, threads=1)
    monkeypatch.setattr(warp_runtime, "GRAPHS", ("cpu",))
    recorded = Renderer(env.model, 3, 29, camera=env.camera, threads=1)
    pictures = []
    for _ in range(2):
        env.reset()
        pictures.append(recorded.render(env.kinematics))
        assert torch.equal(pictures[-1], plain.render(env.kinematics))
    assert not torch.equal(*pictures)


def scene_on(device: str, name: str) -> tuple[mujoco.MjModel, distractions.Distraction, dict[str, Tensor]]:
    model, states = random_states("walker", "stand", 8)
    kinematics = poses(model, states) | {"subtree_com": torch.zeros(8, model.nbody, 3)}
    made = distractions.make(name, 8, model=model, size=48, device=device)
    assert made is not None
    return model, made, {key: value.float().to(device) for key, value in kinematics.items()}


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["video", "reafferent", "dcs-easy"])
def test_cuda_draws_what_the_processor_draws(name: str) -> None:
    model, made, kinematics = scene_on("cpu", name)
    made.advance(torch.ones(8, dtype=torch.bool), 1, torch.zeros(8, model.nu), kinematics)
    scene = made.apply(renderer.Scene(kinematics))
    assert scene.backdrop is not None
    there = renderer.Scene(
        {key: value.cuda() for key, value in scene.poses.items()},
        scene.backdrop._replace(frames=scene.backdrop.frames.cuda(), current=scene.backdrop.current.cuda()),
        None if scene.colours is None else scene.colours.cuda(),
    )
    here = Renderer(model, 8, 48, "sky+grid", 0.3).render(*scene)
    difference = (Renderer(model, 8, 48, "sky+grid", 0.3, device="cuda").render(*there).cpu().int() - here.int()).abs()
    assert ((difference <= 1).all(-1)).float().mean() > 0.999


@pytest.mark.gpu
@pytest.mark.parametrize("task", ["quadruped_escape", "ball_in_cup_catch", "finger_turn_hard"])
def test_cuda_draws_ground_strings_and_sites(task: str) -> None:
    env = envs.make(task, 3, seed=4, engine="c")
    here, there = (Renderer(env.model, 3, 48, camera=env.camera, device=device) for device in ("cpu", "cuda"))
    for _ in range(2):
        env.reset()
        moved = {name: value.float().cuda() for name, value in env.kinematics.items()}
        difference = (there.render(moved).cpu().int() - here.render(env.kinematics).int()).abs()
        assert ((difference <= 1).all(-1)).float().mean() > 0.998


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["video", "noise", "reafferent", "dcs-easy"])
def test_nothing_on_cuda_waits(name: str) -> None:
    model, made, kinematics = scene_on("cuda", name)
    drawing = Renderer(model, 8, 48, device="cuda")
    first, action = torch.ones(8, dtype=torch.bool, device="cuda"), torch.zeros(8, model.nu, device="cuda")

    def frame() -> Tensor:
        made.advance(first, 2, action, kinematics)
        return drawing.render(*made.apply(renderer.Scene(kinematics)))

    frame()  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        image = frame()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert image.float().std() > 10
