"""Strings and springs against those that MuJoCo draws, which it can say without a graphics library."""

import mujoco
import numpy as np
import pytest
import torch
from test_renderer import is_sentinel, poses, sentinel
from torch import Tensor

from envs.renderer import Renderer
from envs.tasks import TASKS
from envs.tendons import PIECES, Tendons, catenary, frames

STRING = 0.3  # metres, of ball_in_cup
BALL = """
<mujoco>
  <worldbody>
    <camera pos="0 -4 .3" xyaxes="1 0 0 0 0 1"/>
    <site name="hook" pos="-.7 .2 .9" rgba="0 0 0 0"/>
    <body name="ball" pos=".6 -.1 -.2" euler="10 20 30">
      <freejoint/>
      <geom size=".1"/>
      <site name="eye" pos=".2 .1 0" rgba="0 0 0 0"/>
      {geom}
    </body>
  </worldbody>
  {tendon}
</mujoco>
"""


def drawn(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Return the ends of the tendons' pieces in MuJoCo's picture: (2, pieces, 3)."""
    scene, camera = mujoco.MjvScene(model, 2000), mujoco.MjvCamera()
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
    of_tendons = [geom for geom in scene.geoms[: scene.ngeom] if geom.objtype == mujoco.mjtObj.mjOBJ_TENDON]
    assert all(geom.type == mujoco.mjtGeom.mjGEOM_CAPSULE for geom in of_tendons)
    half = [geom.size[2] * geom.mat.reshape(3, 3)[:, 2] for geom in of_tendons]
    return np.array([[geom.pos + sign * d for geom, d in zip(of_tendons, half, strict=True)] for sign in (-1, 1)])


def pieces(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[Tensor, Tensor]:
    """Return where our pieces begin and end: (pieces, 3) each."""
    capsules = Tendons(model, torch.device("cpu")).capsules(torch.from_numpy(data.site_xpos[None]))
    half = capsules.frame[0].view(-1, 3, 3)[..., 2] * capsules.half_length[0, :, None]
    return capsules.centre[0] - half, capsules.centre[0] + half


def distance(points: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Return how far each point (n, 3) is from the nearest of some lines."""
    along, onward = end - begin, points[:, None] - begin
    fraction = (onward * along).sum(-1) / along.square().sum(-1)
    return (onward - fraction.clamp(0, 1)[..., None] * along).norm(dim=-1).amin(1)


@pytest.mark.parametrize("seed", range(20))
def test_a_slack_string_hangs_as_in_mujocos_picture(seed: int) -> None:
    """MuJoCo bends it in 28 places, we in 15: at the lowest point of a narrow loop they are half a piece apart."""
    model = TASKS["ball_in_cup_catch"]().model
    data = mujoco.MjData(model)
    data.qpos[:] = np.random.default_rng(seed).uniform([-0.1, -0.1, -0.1, 0.1], [0.1, 0.1, 0.1, 0.3])
    mujoco.mj_forward(model, data)
    begin, end = pieces(model, data)
    assert data.ten_length[0] < 0.95 * STRING
    assert distance(torch.from_numpy(drawn(model, data)).flatten(0, 1), begin, end).max() < STRING / PIECES / 2
    assert torch.allclose(begin[1:], end[:-1])
    ends = model.wrap_objid[:2]
    assert np.allclose(np.stack([begin[0], end[-1]]), data.site_xpos[ends], atol=1e-9)


def test_strings_keep_their_length_and_their_ends_whichever_way_is_up() -> None:
    random = torch.Generator().manual_seed(4)
    begin, end = torch.randn(2, 50, 2, 3, generator=random, dtype=torch.float64)
    up = torch.nn.functional.normalize(torch.randn(3, generator=random, dtype=torch.float64), dim=0)
    length = torch.tensor([2.0, 9.0], dtype=torch.float64)
    curve = catenary(begin, end, up, length, torch.linspace(0, 1, 4001, dtype=torch.float64))  # (50, 2, 4001, 3)
    assert torch.allclose(curve[:, :, 0], begin) and torch.allclose(curve[:, :, -1], end, atol=1e-6)
    expected = torch.maximum(length, (end - begin).norm(dim=-1))
    assert torch.allclose(curve.diff(dim=2).norm(dim=-1).sum(-1), expected, rtol=1e-4)
    assert 0.1 < (expected > 2).double().mean() < 0.9  # some of the short ones are stretched
    middle, above = curve[:, 1].mean(1) @ up, (begin + end)[:, 1] @ up / 2
    assert (middle < above - 1).all()  # the long ones hang


@pytest.mark.parametrize("drop", [0.0, 0.05, 0.31, 0.6])
def test_a_string_straight_down_is_as_long_as_it_can_be(drop: float) -> None:
    """Folded where it is slack, from one end to the other where it is stretched."""
    model = TASKS["ball_in_cup_catch"]().model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    cup, ball = model.wrap_objid[:2]
    data.site_xpos[ball] = data.site_xpos[cup] - [0, 0, drop]
    begin, end = pieces(model, data)
    lowest = torch.cat([begin, end])[:, 2].min().item()
    assert torch.isfinite(begin).all() and torch.isfinite(end).all()
    assert data.site_xpos[cup, 2] - lowest == pytest.approx(max(drop, (STRING + drop) / 2), abs=STRING / PIECES)
    assert (begin[:, :2] - begin[0, :2]).abs().max() < 1e-4


def test_springs_are_straight_as_in_mujocos_picture() -> None:
    model = TASKS["lqr_lqr_6_2"]().model
    data = mujoco.MjData(model)
    data.qpos[:] = np.linspace(-0.1, 0.2, 6)
    mujoco.mj_forward(model, data)
    begin, end = (points.view(5, PIECES, 3) for points in pieces(model, data))
    assert np.allclose(np.stack([begin[:, 0], end[:, -1]]), drawn(model, data))


def test_frames_are_rotations_whose_third_axis_was_given() -> None:
    z = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(2)).double(), dim=1)
    z = torch.cat([z, torch.tensor([[0, 0, 1.0], [0, 0, -1], [-1, 0, 0], [0, 1, -1e-9]])])
    rotation = frames(z)
    assert torch.equal(rotation[..., 2], z)
    assert torch.allclose(rotation.mT @ rotation, torch.eye(3).double().expand(54, 3, 3))
    assert torch.allclose(rotation.det(), torch.ones(54).double())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_spring_covers_what_a_capsule_between_its_ends_covers(threads: int) -> None:
    count, size = 8, 61
    spatial = '<tendon><spatial width=".05" stiffness="1"><site site="hook"/><site site="eye"/></spatial></tendon>'
    sprung = mujoco.MjModel.from_xml_string(BALL.format(geom="", tendon=spatial))
    data = mujoco.MjData(sprung)
    mujoco.mj_forward(sprung, data)
    body = data.body("ball")
    ends = (data.site_xpos - body.xpos) @ body.xmat.reshape(3, 3)
    capsule = f'<geom type="capsule" size=".05" fromto="{" ".join(map(str, ends.ravel()))}"/>'
    solid = mujoco.MjModel.from_xml_string(BALL.format(geom=capsule, tendon=""))
    masks = []
    for model in (sprung, solid):
        renderer = Renderer(model, count, size, threads=threads)
        scene = poses(model, [model.qpos0] * count)
        masks.append(is_sentinel(renderer.render(scene, sentinel(size, count))))
        renderer.close()
    assert 0.01 < (~masks[0]).float().mean() < 0.2
    assert int((masks[0] != masks[1]).sum()) <= 0.001 * masks[0].numel()
    assert torch.equal(masks[0], masks[0][:1].expand_as(masks[0]))
