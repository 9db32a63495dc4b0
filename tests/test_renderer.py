"""Pixels against a second ray caster (MuJoCo's own), and against pictures worked by hand."""

import math

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite
from torch import Tensor

from envs.renderer import Renderer
from envs.scene import KINEMATICS, SITES, Backdrop

SENTINEL = (1, 254, 3)  # a colour that no model draws
SPHERE = """
<mujoco>
  <visual><headlight active="0"/></visual>
  <asset>
    <material name="glow" rgba="1 0.2 0.6 1" emission="1" specular="0"/>
    <material name="grass" rgba="0 0.8 0 1" emission="0.5" specular="0"/>
  </asset>
  <worldbody>
    <light active="false"/>
    <camera pos="0 -4 0" xyaxes="1 0 0 0 0 1" fovy="45"/>
    <geom name="floor" type="plane" size="9 9 1" pos="0 0 -1" material="grass"/>
    <body><freejoint/><geom type="sphere" size="0.7" material="glow"/></body>
  </worldbody>
</mujoco>
"""


def poses(model: mujoco.MjModel, states: list[np.ndarray]) -> dict[str, Tensor]:
    """Compute what the engine would hand over for these positions, in C and one after the other."""
    rows = []
    for qpos in states:
        data = mujoco.MjData(model)
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        rows.append({name: getattr(data, name).copy() for name in KINEMATICS + SITES})
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in KINEMATICS + SITES}


def random_states(domain: str, task: str, count: int) -> tuple[mujoco.MjModel, list[np.ndarray]]:
    env = suite.load(domain, task, task_kwargs={"random": 5})
    actions = np.random.default_rng(7)
    states = []
    for _ in range(count):
        env.reset()
        for _ in range(11):
            env.step(actions.uniform(-1, 1, env.action_spec().shape))
        states.append(env.physics.data.qpos.copy())
    return env.physics.model.ptr, states


def sentinel(size: int, num_envs: int) -> Backdrop:
    frames = torch.tensor(SENTINEL, dtype=torch.uint8).expand(1, size, size, 3).contiguous()
    return Backdrop(frames, torch.zeros(num_envs, dtype=torch.int32))


def is_sentinel(image: Tensor) -> Tensor:
    return (image == torch.tensor(SENTINEL, dtype=torch.uint8)).all(-1)


def traced_background(model: mujoco.MjModel, qpos: np.ndarray, size: int, floor: bool, camera: int = 0) -> Tensor:
    """Cast a ray through the middle of every pixel with mj_ray -> (size, size) bool, what is background."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    axes = data.cam_xmat[camera].reshape(3, 3)
    reach = math.tan(math.radians(model.cam_fovy[camera]) / 2)
    groups = np.array([1, 1, 1, 0, 0, 0], dtype=np.uint8)  # what MuJoCo draws unless told otherwise
    background = torch.zeros(size, size, dtype=torch.bool)
    geom = np.zeros(1, dtype=np.int32)
    for y in range(size):
        for x in range(size):
            across, up = (2 * (x + 0.5) / size - 1) * reach, (1 - 2 * (y + 0.5) / size) * reach
            ray = axes @ np.array([across, up, -1.0])
            mujoco.mj_ray(model, data, data.cam_xpos[camera], ray, groups, 1, -1, geom)
            plane = geom[0] >= 0 and model.geom_type[geom[0]] == mujoco.mjtGeom.mjGEOM_PLANE
            background[y, x] = bool(geom[0] < 0 or (plane and floor))
    return background


@pytest.mark.parametrize(
    ("domain", "task"),
    [("walker", "stand"), ("cheetah", "run"), ("cartpole", "swingup"), ("finger", "spin"), ("ball_in_cup", "catch")],
)
@pytest.mark.parametrize("background", ["sky", "sky+floor"])
def test_the_video_shows_exactly_where_rays_of_another_tracer_meet_background(
    domain: str, task: str, background: str
) -> None:
    model, states = random_states(domain, task, 2)
    size = 61
    image = Renderer(model, 2, size, background=background).render(poses(model, states), sentinel(size, 2))
    for n, qpos in enumerate(states):
        expected = traced_background(model, qpos, size, floor=background == "sky+floor")
        differing = int((is_sentinel(image[n]) != expected).sum())
        assert differing <= 0.002 * size**2  # rounding at outlines: float32 here, float64 there
        assert 0 < int(expected.sum()) < size**2


def test_what_emits_light_has_its_own_colour_and_the_outline_of_its_geometry() -> None:
    model = mujoco.MjModel.from_xml_string(SPHERE)
    image = Renderer(model, 1, 17).render(poses(model, [model.qpos0]))[0]
    assert image[8, 8].tolist() == [255, 51, 153]  # emission 1 times rgba 1, 0.2, 0.6
    assert image[16, 8].tolist() == [0, 102, 0]  # emission 0.5 times rgba 0, 0.8, 0
    assert image[0, 0].tolist() == [0, 0, 0]  # no skybox in this model
    # A sphere of radius .7 seen from 4 away covers the half-angle asin(.7 / 4): 3.65 of the 8.5 pixels from the centre.
    reach = math.tan(math.asin(0.7 / 4)) / math.tan(math.radians(22.5)) * 8.5
    lit = image[8, :, 0] == 255
    assert lit.sum() == 2 * math.floor(reach + 0.5) - 1 == 7


def test_a_lamp_overhead_lights_a_floor_by_its_diffuse_colour() -> None:
    model = mujoco.MjModel.from_xml_string("""
        <mujoco>
          <visual><headlight active="0"/></visual>
          <worldbody>
            <light directional="true" dir="0 0 -1" diffuse="0.4 0.8 0.2" ambient="0 0 0" specular="0 0 0"/>
            <camera pos="0 0 3"/>
            <geom type="plane" size="9 9 1" rgba="1 0.5 1 1"/>
          </worldbody>
        </mujoco>""")
    image = Renderer(model, 1, 5).render(poses(model, [model.qpos0]))[0]
    expected = torch.tensor([102, 102, 51]).expand(5, 5, 3)  # diffuse times rgba times 255
    assert (image.int() - expected).abs().max() <= 1


def shifted_spheres(count: int) -> tuple[mujoco.MjModel, dict[str, Tensor]]:
    model = mujoco.MjModel.from_xml_string(SPHERE)
    states = [model.qpos0 + np.array([0.3 * n - 0.6, 0, 0.2 * n - 0.3, 0, 0, 0, 0]) for n in range(count)]
    return model, poses(model, states)


@pytest.mark.parametrize("window", [1, 6, 7, 13])
@pytest.mark.parametrize("background", ["sky", "sky+floor"])
def test_each_environment_shows_its_frame_in_the_window_and_the_clean_picture_elsewhere(
    window: int, background: str
) -> None:
    size, num_envs = 13, 5
    model, kinematics = shifted_spheres(num_envs)
    renderer = Renderer(model, num_envs, size, background=background)
    generator = torch.Generator().manual_seed(3)
    frames = torch.randint(256, (11, window, window, 3), dtype=torch.uint8, generator=generator)
    current = torch.tensor([7, 0, 10, 3, 7], dtype=torch.int32)
    clean = renderer.render(kinematics)
    composed = renderer.render(kinematics, Backdrop(frames, current))

    sphere = clean[..., 0] == 255  # only the sphere is red
    floor = torch.zeros_like(sphere) if background == "sky+floor" else clean[..., 1] > 60  # green, sphere: 51
    margin = (size - window) // 2
    expected = clean.clone()
    for n in range(num_envs):
        for v in range(window):
            for u in range(window):
                y, x = margin + v, margin + u
                if not (sphere[n, y, x] or floor[n, y, x]):
                    expected[n, y, x] = frames[current[n], v, u]
    assert torch.equal(composed, expected)
    assert sphere.any() and not torch.equal(composed, clean)


def test_skipping_what_the_video_covers_does_not_change_what_it_does_not_cover() -> None:
    model, states = random_states("cheetah", "run", 3)
    kinematics = poses(model, states)
    renderer = Renderer(model, 3, 37)
    clean, covered = renderer.render(kinematics), renderer.render(kinematics, sentinel(37, 3))
    agent = ~is_sentinel(covered)
    assert agent.float().mean() > 0.01
    assert torch.equal(covered[agent], clean[agent])


def test_threads_and_repetition_do_not_change_a_pixel() -> None:
    model, states = random_states("walker", "stand", 13)
    kinematics = poses(model, states)
    pictures = []
    for threads in (1, 2, 3, 1):
        renderer = Renderer(model, 13, 29, threads=threads)
        pictures += [renderer.render(kinematics, sentinel(23, 13)) for _ in range(2)]
        renderer.close()
    assert all(torch.equal(picture, pictures[0]) for picture in pictures[1:])


def test_single_precision_poses_give_the_same_picture_as_double() -> None:
    model, kinematics = shifted_spheres(3)
    single = {name: value.float() for name, value in kinematics.items()}
    renderer = Renderer(model, 3, 19)
    assert torch.equal(renderer.render(kinematics), renderer.render(single))


def test_a_picture_is_not_overwritten_by_the_next() -> None:
    model, kinematics = shifted_spheres(3)
    renderer = Renderer(model, 3, 19)
    first = renderer.render(kinematics)
    copy = first.clone()
    renderer.render({name: value.flip(0) for name, value in kinematics.items()})
    assert torch.equal(first, copy)


def test_the_picture_for_people_has_smooth_outlines() -> None:
    model, kinematics = shifted_spheres(1)
    image = Renderer(model, 1, 31, quality=True).render(kinematics)[0]
    plain = Renderer(model, 1, 31).render(kinematics)[0]
    assert set(plain[..., 0].unique().tolist()) == {0, 255}
    assert len(image[..., 0].unique()) > 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "floor"}, "unknown background 'floor': did you mean 'sky\\+floor"),
        ({"camera": 3}, "camera 3 does not exist: the model has 1"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"threads": -1}, "threads must be at least 1, got -1"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    model = mujoco.MjModel.from_xml_string(SPHERE)
    with pytest.raises(ValueError, match=message):
        Renderer(model, 2, **options)


def test_a_video_larger_than_the_picture_is_refused() -> None:
    model, kinematics = shifted_spheres(1)
    with pytest.raises(ValueError, match="a video 20 pixels wide does not fit into a picture of 19"):
        Renderer(model, 1, 19).render(kinematics, sentinel(20, 1))
