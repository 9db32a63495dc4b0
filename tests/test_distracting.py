"""The Distracting Control Suite's camera and colours."""

import io
import math

import mujoco
import pytest
import torch
from scipy.stats import kstest
from test_renderer import poses, random_states
from torch import Tensor

import envs
from envs import distracting, distractions
from envs.distracting import Camera, Colours
from envs.scene import Scene

DOMAINS = [
    ("walker", "stand"),
    ("cheetah", "run"),
    ("cartpole", "swingup"),
    ("finger", "spin"),
    ("ball_in_cup", "catch"),
    ("reacher", "easy"),
]
CPU = torch.device("cpu")


def still(domain: str, task: str, count: int) -> tuple[mujoco.MjModel, dict[str, Tensor]]:
    """One pose of a task, `count` times."""
    model, (state,) = random_states(domain, task, 1)
    data = mujoco.MjData(model)
    data.qpos[:] = state
    mujoco.mj_forward(model, data)
    fields = poses(model, [state]) | {"subtree_com": torch.from_numpy(data.subtree_com.copy()).unsqueeze(0)}
    return model, {name: value.repeat(count, *[1] * (value.ndim - 1)) for name, value in fields.items()}


def walk(camera: Camera, fields: dict[str, Tensor], frames: int) -> tuple[Tensor, Tensor]:
    """Begin an episode and go on: where the cameras stand and their axes, (T, N, 3) and (T, N, 3, 3)."""
    num_envs = len(fields["cam_xpos"])
    seen = []
    for frame in range(frames):
        camera.advance(torch.full((num_envs,), frame == 0), 1, torch.zeros(num_envs, 1), fields)
        seen.append(camera.apply(Scene(fields)).poses)
    eyes, axes = (torch.stack([pose[name][:, 0] for pose in seen]).float() for name in ("cam_xpos", "cam_xmat"))
    return eyes, axes.unflatten(-1, (3, 3))


@pytest.mark.parametrize(("domain", "task"), DOMAINS)
def test_a_camera_that_may_hardly_move_is_the_models(domain: str, task: str) -> None:
    model, fields = still(domain, task, 3)
    eyes, axes = walk(Camera(model, 3, 1e-7, 1, CPU), fields, 5)
    torch.testing.assert_close(eyes, fields["cam_xpos"][:, 0].float().expand(5, 3, 3), rtol=0, atol=1e-5)
    model_axes = fields["cam_xmat"][:, 0].float().view(3, 3, 3).expand(5, 3, 3, 3)
    torch.testing.assert_close(axes, model_axes, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("domain", "task", "place", "ahead"),
    [
        # at its side, about 3 m away in the direction -y, looking along y
        ("cheetah", "run", (3.0, -math.pi / 2, math.pi / 2), (0.0, 1.0, 0.0)),
        # behind it, where azimuths go from pi to -pi, looking down by one in two
        ("humanoid", "walk", (3.34, math.pi, 1.13), (2 / math.sqrt(5), 0.0, -1 / math.sqrt(5))),
    ],
)
def test_cameras_keep_to_their_part_of_a_shell_and_look_at_the_agent(
    domain: str, task: str, place: tuple[float, ...], ahead: tuple[float, ...]
) -> None:
    model, fields = still(domain, task, 211)
    scale, agent = 0.3, fields["subtree_com"][0, 1].float()
    eyes, axes = walk(Camera(model, 211, scale, 2, CPU), fields, 300)

    def angles(offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        radius = offset.norm(dim=-1)
        return radius, torch.atan2(offset[..., 1], offset[..., 0]), torch.acos(offset[..., 2] / radius)

    start = fields["cam_xpos"][0, 0].float() - agent
    distance, side, height = (value.item() for value in angles(start))
    assert (distance, side, height) == pytest.approx(place, abs=0.1)
    radius, azimuth, polar = angles(eyes - agent)
    azimuth = side + torch.remainder(azimuth - side + math.pi, 2 * math.pi) - math.pi
    quarter = math.pi / 2 * scale
    for value, low, high in (
        (radius, distance * (1 - 0.15), distance * (1 + 0.45)),
        (azimuth, side - quarter, side + quarter),
        (polar, height - quarter, math.pi / 2),  # never from below
    ):
        assert low - 1e-3 <= value.min() < low + 0.1 and high - 0.1 < value.max() <= high + 1e-3
    gaze = agent + start + distance * torch.tensor(ahead) - eyes
    gaze = gaze / gaze.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(-axes[..., 2], gaze, rtol=0, atol=1e-4)
    # The camera's x axis is level but for the roll, which is its angle with the level direction.
    level = torch.stack([gaze[..., 1], -gaze[..., 0], torch.zeros_like(radius)], -1)
    level = level / level.norm(dim=-1, keepdim=True)
    roll = torch.acos((axes[..., 0] * level).sum(-1).clamp(-1, 1))
    assert quarter - 0.01 < roll.max() < quarter + 1e-3
    speed = (eyes[1:] - eyes[:-1]).norm(dim=-1)
    assert 0.9 < speed.max() / (0.4 * scale * distance / 4) < 1 + 1e-3
    assert (roll[1:] - roll[:-1]).abs().max() < math.pi / 50 * scale + 1e-3


@pytest.mark.parametrize(
    ("side", "low", "high"),
    [(-0.2, -0.2 - 0.15 * math.pi, 0.0), (0.2 - math.pi, -math.pi, 0.2 - 0.85 * math.pi)],
)
def test_cameras_in_front_stay_there(side: float, low: float, high: float) -> None:
    """At azimuths from -pi to 0, also where 0.3 of a right angle to both sides would lead behind."""
    model, fields = still("cheetah", "run", 211)
    agent = fields["subtree_com"][0, 1]
    fields["cam_xpos"][:, 0] = agent + 3 * torch.tensor([math.cos(side), math.sin(side), 0.0])
    offset = walk(Camera(model, 211, 0.3, 2, CPU), fields, 100)[0] - agent.float()
    azimuth = (
        side + torch.remainder(torch.atan2(offset[..., 1], offset[..., 0]) - side + math.pi, 2 * math.pi) - math.pi
    )
    assert low - 1e-3 <= azimuth.min() < low + 0.1 and high - 0.1 < azimuth.max() <= high + 1e-3


def test_cameras_begin_uniformly_and_only_where_an_episode_begins() -> None:
    model, fields = still("cartpole", "swingup", 5000)
    camera = Camera(model, 5000, 0.1, 3, CPU)
    eyes, _ = walk(camera, fields, 1)
    radius = eyes[0].norm(dim=-1) / math.sqrt(17)  # the model's stands at 0, -4, 1
    azimuth = torch.atan2(eyes[0, :, 1], eyes[0, :, 0]) / (-math.pi / 2)
    # One step of at most 0.04 m has been taken since.
    assert kstest(radius, "uniform", (0.95, 0.2)).statistic < 0.06
    assert kstest(azimuth, "uniform", (0.9, 0.2)).statistic < 0.06
    before = camera.apply(Scene(fields)).poses["cam_xpos"][:, 0]
    camera.advance(torch.arange(5000) % 2 == 0, 1, torch.zeros(5000, 1), fields)
    moved = (camera.apply(Scene(fields)).poses["cam_xpos"][:, 0] - before).norm(dim=-1)
    assert moved[1::2].max() < 0.04 * math.sqrt(17) / 4 + 1e-3
    assert moved[::2].median() > 0.2


def test_one_step_from_rest_is_as_long_as_the_suite_says() -> None:
    """Speeds change by 0.1 scale metres and 0.6 scale degrees a step; cameras nearer than 4 m are slower."""
    model, fields = still("finger", "spin", 20000)
    camera = Camera(model, 20000, 0.1, 3, CPU)
    walk(camera, fields, 1)
    camera.place, camera.velocity = camera.start.clone(), torch.zeros(20000, 3)
    camera.roll, camera.spin = torch.zeros(2, 20000)
    before = distracting.cartesian(camera.place)
    camera.advance(torch.zeros(20000, dtype=torch.bool), 1, torch.zeros(20000, 1), fields)
    moved = distracting.cartesian(camera.place) - before
    pace = math.sqrt(1 + 0.8**2) / 4  # the model's stands at 0, -1, 0.8
    torch.testing.assert_close(moved.std(0), torch.full((3,), 0.1 * 0.1 * pace), rtol=0.02, atol=0)
    torch.testing.assert_close(camera.velocity, moved)
    assert abs(camera.roll.std().item() / math.radians(0.6 * 0.1) - 1) < 0.02


def test_cameras_follow_an_agent_or_stay() -> None:
    for domain, task, follows in (("walker", "stand", 1.0), ("cartpole", "swingup", 0.0)):
        model, fields = still(domain, task, 3)
        camera = Camera(model, 3, 0.2, 3, CPU)
        walk(camera, fields, 2)
        gone = torch.tensor([5.0, 0.0, 0.0])
        after = {"cam_xpos": fields["cam_xpos"] + follows * gone, "subtree_com": fields["subtree_com"] + gone}
        one, two = (camera.apply(Scene(f)).poses for f in (fields, fields | after))
        torch.testing.assert_close(
            two["cam_xpos"][:, 0] - one["cam_xpos"][:, 0], follows * gone.double().expand(3, 3), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(two["cam_xmat"], one["cam_xmat"], atol=1e-5, rtol=0)


def test_rotations_worked_by_hand() -> None:
    ahead, right, down = torch.eye(3)[1:2], torch.eye(3)[:1], -torch.eye(3)[2:]
    assert distracting.level_with(ahead)[0].tolist() == [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert torch.equal(distracting.turned_down(down)[0], torch.eye(3))
    assert distracting.turned_down(right)[0].tolist() == [[0, 0, -1], [0, 1, 0], [1, 0, 0]]
    quarter = distracting.roll(torch.tensor([math.pi / 2]))[0]
    torch.testing.assert_close(quarter, torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), atol=1e-6, rtol=0)
    place = torch.tensor([[2.0, math.pi / 6, math.pi / 3]])
    point = torch.tensor([[1.5, math.sqrt(3) / 2, 1.0]])  # 2 sin 60 cos 30, 2 sin 60 sin 30, 2 cos 60
    torch.testing.assert_close(distracting.cartesian(place), point)
    torch.testing.assert_close(distracting.spherical(point), place)


def test_colours_begin_uniformly_and_walk_within_their_range() -> None:
    model, _ = random_states("walker", "stand", 1)
    colours = Colours(model, 3000, 0.2, 1, CPU)
    grid = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_MATERIAL, "self")
    clean = torch.from_numpy(model.mat_rgba[grid, :3].copy())  # .7, .5, .3
    torch.testing.assert_close(clean, torch.tensor([0.7, 0.5, 0.3]))
    first = torch.arange(3000) < 2000

    def advance(rows: Tensor, steps: int) -> Tensor:
        colours.advance(rows, steps, torch.zeros(3000, 1), {})
        shown = colours.apply(Scene({})).colours
        assert shown is not None
        return shown

    begun = advance(first, 1)
    for channel in range(3):
        assert kstest(begun[:2000, grid, channel], "uniform", (clean[channel] - 0.2, 0.4)).pvalue > 1e-3
    walked = advance(~first, 4)
    step = (walked - begun)[:2000, grid]
    inner = (begun[:2000, grid] - clean).abs().amax(1) < 0.1  # too far from the limits to have met them
    assert abs(step[inner].std().item() / (0.03 * 0.2 * math.sqrt(4)) - 1) < 0.05
    assert (walked[2000:, grid] - begun[2000:, grid]).std() > 0.1
    far = advance(first & ~first, 300)
    assert (far[:, grid] - clean).abs().max() <= 0.2 + 1e-6 and far.min() >= 0 and far.max() <= 1


def test_the_suite_has_three_settings_and_their_parts() -> None:
    assert distracting.parts("dcs-easy") == ("background", "camera", "colour")
    assert distracting.parts("dcs-medium-camera") == ("camera",) and distracting.parts("video") == ()
    model, _ = random_states("walker", "stand", 1)
    for name, videos in (("dcs-easy", 4), ("dcs-medium-background", 8)):
        made = distractions.make(name, 2, model=model, size=8, change=50)
        assert isinstance(made, distractions.Layers)
        assert made.parts["background"].change == 0  # a video lasts as long as its episode, whatever is asked of others
        backdrop = made.apply(Scene(still("walker", "stand", 2)[1])).backdrop
        assert backdrop is not None and backdrop.around and len(backdrop.frames) == videos * distracting.LENGTH


@pytest.mark.parametrize(
    ("task", "background"),
    [("walker_walk", ("sky+grid", 1.0)), ("reacher_hard", ("sky+grid", 0.0)), ("hopper_hop", ("sky+grid", 0.3))],
)
def test_the_floor_is_as_transparent_as_in_the_suite(task: str, background: tuple[str, float]) -> None:
    assert distracting.replaced("dcs-hard", task, "sky") == background
    assert distracting.replaced("dcs-hard-camera", task, "sky") == ("sky", 0.0)


def test_parts_change_only_what_they_are_about() -> None:
    def frames(part: str) -> Tensor:
        distraction = f"dcs-easy-{part}" if part else "none"
        env = envs.make("cheetah_run", 3, pixels=True, distraction=distraction, seed=1)
        env.reset()
        return env.step(torch.zeros(3, 6))["pixels"]

    clean, camera, colour, background = map(frames, ("", "camera", "colour", "background"))
    outline = (background == clean).all(-1)  # the agent and the floor
    assert 0.1 < outline.float().mean() < 0.9
    changed = (colour != clean).any(-1)
    assert not changed[~outline].any() and changed.any()
    assert (camera != clean).any(-1).float().mean() > 0.1


@pytest.mark.parametrize("distraction", ["dcs-easy", "reafferent"])
@pytest.mark.parametrize("task", ["walker_walk", "reacher_easy"])
def test_a_saved_state_goes_on_bit_for_bit(task: str, distraction: str) -> None:
    def make() -> envs.BatchedEnv:
        return envs.make(task, 3, pixels=True, distraction=distraction, seed=2, action_repeat=2, time_limit=13, size=16)

    env = make()
    env.reset()
    actions = torch.rand(17, 3, env.action_dim, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for action in actions[:5]:
        env.step(action)
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    expected = [env.step(action)["pixels"] for action in actions[5:]]  # through the ends of episodes
    other = make()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert all(
        torch.equal(other.step(action)["pixels"], seen) for action, seen in zip(actions[5:], expected, strict=True)
    )
    assert not torch.equal(expected[0], expected[-1])


def test_episodes_and_environments_draw_anew() -> None:
    env = envs.make("walker_walk", 2, pixels=True, distraction="dcs-easy", time_limit=1, size=16)
    frames = torch.stack([env.reset()["pixels"], *[env.step(torch.zeros(2, 6))["pixels"] for _ in range(4)]])
    begun = frames[::2].flatten(0, 1)  # every other row is an episode's first
    assert all(not torch.equal(one, two) for k, one in enumerate(begun) for two in begun[:k])
