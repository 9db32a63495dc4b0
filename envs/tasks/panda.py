"""Table-top: Franka's Panda, a table and one object to reach, grasp, lift and move; no task of dm_control.

An action is six changes of the hand's pose and one for the gripper; see `envs.hand_control`. An observation has
42 numbers:

    0:7    angles of the joints, radians            22:25  object, metres
    7      opening of the gripper, metres           25:29  its quaternion, w >= 0
    8:15   speeds of the joints, radians a second   29:32  tool, the point between the fingertips, metres
    15     speed of the opening                     32:36  its quaternion from pointing down, w >= 0
    16:19  velocity of the tool, metres a second    36:39  velocity of the object
    19:22  its angular velocity                     39:42  its angular velocity

all of them along the world's axes. The base of the arm is the origin, and the top of the table z = 0.
"""

from functools import partial
from pathlib import Path

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs import kinematics, measures, signals
from envs.draws import Draws
from envs.hand_control import ArmSettings, HandControl
from envs.measures import Measure
from envs.signals import Signal
from envs.tasks.rewards import tolerance
from envs.tasks.task import Context, X, Y, Z, sensor

MODEL = Path(__file__).with_name("panda.xml")
CONTROL_TIMESTEP, TIME_LIMIT = 0.05, 10  # seconds
RIGHT_ANGLE = np.pi / 2
# Of Franka's documentation: a, d, alpha of each joint (metres, radians), then where hand and fingertips are.
LINKS = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -RIGHT_ANGLE),
    (0.0, 0.316, RIGHT_ANGLE),
    (0.0825, 0.0, RIGHT_ANGLE),
    (-0.0825, 0.384, -RIGHT_ANGLE),
    (0.0, 0.0, RIGHT_ANGLE),
    (0.088, 0.0, RIGHT_ANGLE),
)
FLANGE, TOOL, HAND_TURN = 0.107, 0.1034, -np.pi / 4  # metres from joint 7, metres from there; radians about its axis
SPEEDS = (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61)  # radians a second, at most
EFFORTS = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)  # newton metres, at most
# Our choice from here on.
HOME = (0.0, -0.1289, 0.0, -2.5263, 0.0, 2.3974, 0.7854)  # the tool 22 cm above the table, pointing down
SCATTER = 0.1  # radians, of each joint at the start
OPENING = 0.04  # metres, of each finger
BOX = ((0.2, -0.5, -0.01), (0.8, 0.5, 0.6))  # where the tool may be sent: to the table's edges and into its top
PLACES = ((0.38, -0.2), (0.62, 0.2))  # corners of where objects start
SHAPES = {  # of the object: MuJoCo's type and size in metres, how far its middle is above the table
    "box": (mujoco.mjtGeom.mjGEOM_BOX, (0.025, 0.025, 0.025), 0.025),
    "cylinder": (mujoco.mjtGeom.mjGEOM_CYLINDER, (0.025, 0.03, 0.0), 0.03),
    "sphere": (mujoco.mjtGeom.mjGEOM_SPHERE, (0.03, 0.0, 0.0), 0.03),
}
LIFTED = 0.15  # metres, for the whole reward
GRIP = 0.5  # newtons of each fingertip on the object
NEAR_LIMIT, HARD = 0.05, 30.0  # share of half a joint's range; newtons of the hand on the table


class Tabletop:
    """Reach, grasp and lift an object."""

    fields = ("qpos", "qvel", "xpos", "xquat", "site_xpos", "sensordata")
    model_fields = ()
    terminal = None

    def __init__(self, shape: str) -> None:
        spec = mujoco.MjSpec.from_file(str(MODEL))
        thing, (kind, size, self.rest) = spec.geom("object"), SHAPES[shape]
        thing.type, thing.size = kind, size
        if shape == "sphere":
            thing.condim = 6  # else it rolls without end
        self.model = model = spec.compile()
        self.substeps = round(CONTROL_TIMESTEP / model.opt.timestep)
        self.step_limit = round(TIME_LIMIT / CONTROL_TIMESTEP)
        self.low, self.high = (torch.from_numpy(model.jnt_range[:7, end].copy()) for end in (0, 1))
        self.speeds, self.efforts = torch.tensor(SPEEDS), torch.tensor(EFFORTS)
        self.controller = control(model)
        self.object, self.hand = model.body("object").id, model.body("hand").id
        self.sites = tuple(model.site(name).id for name in ("tool", "left_tip", "right_tip"))
        self.tool_motion = slice(sensor(model, "tool_velocity").start, sensor(model, "tool_turning").stop)
        self.object_motion = slice(sensor(model, "object_velocity").start, sensor(model, "object_turning").stop)
        self.effort = slice(sensor(model, "effort1").start, sensor(model, "effort7").stop)
        self.grips, self.pressed = (
            [sensor(model, f"{side}_grip") for side in ("left", "right")],
            sensor(model, "on_table"),
        )
        table = model.geom("table")
        self.edges = torch.from_numpy(np.stack([table.pos - table.size, table.pos + table.size])[:, :2])  # (2, 2)
        self.signals = {
            "position": signals.body_position(model, "object", X, Y, Z),
            "reach": Signal(self.reach, ("site_xpos", "xpos")),
            "grasped": Signal(self.grasped, ("sensordata",)),
            "joint_margin": Signal(self.joint_margin, ("qpos",)),
            "joint_speed": Signal(self.joint_speed, ("qvel",)),
            "table_force": Signal(self.table_force, ("sensordata",)),
            "off_table": Signal(self.off_table, ("xpos",)),
            "effort": Signal(self.mean_effort, ("sensordata",)),
            "violation": Signal(self.violation, self.fields),
        }
        self.measures = {
            **{f"displacement_{'xyz'[axis]}": measures.displacement(model, "object", axis) for axis in (X, Y, Z)},
            "lift": Measure(self.height, ("xpos",), "maximum"),
            "reach": Measure(lambda c: self.reach(c)[:, 0], ("site_xpos", "xpos")),  # metres from tool to object
            "grasp": Measure(self.grasped, ("sensordata",), range=(0.0, 1.0)),
            "violations": Measure(self.violation, self.fields, range=(0.0, 1.0)),
        }

    def observe(self, c: Context) -> Tensor:
        arm = [part for name in ("qpos", "qvel") for part in (c[name][:, :7], c[name][:, 7:9].sum(1, keepdim=True))]
        w, x, y, z = c["xquat"][:, self.hand].unbind(1)
        from_down = torch.stack([x, -w, -z, y], 1)  # the quaternion of pointing down is 0 1 0 0
        tool = [c["site_xpos"][:, self.sites[0]], positive(from_down)]
        thing = [c["xpos"][:, self.object], positive(c["xquat"][:, self.object])]
        motion = c["sensordata"]
        return torch.cat([*arm, motion[:, self.tool_motion], *thing, *tool, motion[:, self.object_motion]], 1)

    def reward(self, c: Context) -> Tensor:
        """Return a fifth for reaching, a fifth for holding, three for lifting what is held: in [0, 1]."""
        reaching, holding = 1 - torch.tanh(10 * self.reach(c).mean(1)), self.grasped(c)
        lifting = tolerance(self.height(c), (LIFTED, torch.inf), LIFTED, "linear", 0.0)
        return (reaching + holding + 3 * holding * lifting) / 5

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        """Draw the arm near home, open, and the object on the table, turned about the vertical."""
        qpos, ctrl, count = draws["qpos"], draws["ctrl"], draws.count
        qpos[:, :7] = ctrl[:, :7] = np.array(HOME) + random.uniform(-SCATTER, SCATTER, (count, 7))
        qpos[:, 7:9] = ctrl[:, 7:] = OPENING
        qpos[:, 9:11] = random.uniform(*PLACES, (count, 2))
        qpos[:, 11], turn = self.rest, random.uniform(-np.pi, np.pi, count)
        qpos[:, 12:] = np.stack([np.cos(turn / 2), 0 * turn, 0 * turn, np.sin(turn / 2)], 1)

    def reach(self, c: Context) -> Tensor:
        """Return how far the tool, the left and the right fingertip are from the object's middle: (N, 3) metres."""
        thing = c["xpos"][:, self.object]
        return torch.stack([(c["site_xpos"][:, site] - thing).norm(dim=1) for site in self.sites], 1)

    def height(self, c: Context) -> Tensor:
        """Return how far the object is above where it lies on the table: (N,) metres."""
        return c["xpos"][:, self.object, Z] - self.rest

    def grasped(self, c: Context) -> Tensor:
        """Return 1 where both fingertips press on the object, else 0: (N,)."""
        left, right = (c["sensordata"][:, grip].norm(dim=1) > GRIP for grip in self.grips)
        return (left & right).to(c["sensordata"].dtype)

    def joint_margin(self, c: Context) -> Tensor:
        """Return how far joints are from their nearer limit, as a share of half their range: (N, 7), 0 at the limit."""
        angles = c["qpos"][:, :7]
        return torch.minimum(angles - self.low, self.high - angles) / ((self.high - self.low) / 2)

    def joint_speed(self, c: Context) -> Tensor:
        """Return how fast joints are, as a share of what Franka allows: (N, 7)."""
        return c["qvel"][:, :7].abs() / self.speeds

    def table_force(self, c: Context) -> Tensor:
        """Return how hard hand and fingers press on the table: (N,) newtons."""
        return c["sensordata"][:, self.pressed].norm(dim=1)

    def off_table(self, c: Context) -> Tensor:
        """Return 1 where the object's middle is beside or below the top of the table, else 0: (N,)."""
        thing = c["xpos"][:, self.object]
        beside = (thing[:, :2] < self.edges[0]) | (thing[:, :2] > self.edges[1])  # (N, 2)
        return (beside.any(1) | (thing[:, Z] < 0)).to(thing.dtype)

    def mean_effort(self, c: Context) -> Tensor:
        """Return the mean square of the joints' efforts, as shares of what Franka allows: (N,)."""
        return (c["sensordata"][:, self.effort] / self.efforts).square().mean(1)

    def violation(self, c: Context) -> Tensor:
        """Return 1 where a joint is near its limit or too fast, the hand presses hard or the object is off: (N,)."""
        joints = (self.joint_margin(c) < NEAR_LIMIT) | (self.joint_speed(c) > 1)
        wrong = joints.any(1) | (self.table_force(c) > HARD) | (self.off_table(c) > 0)
        return wrong.to(c["qpos"].dtype)


def control(model: mujoco.MjModel) -> HandControl:
    """Return what moves the hand of a model."""
    c, s = np.cos(HAND_TURN), np.sin(HAND_TURN)
    tool = [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, FLANGE + TOOL], [0, 0, 0, 1]]
    low, high = model.jnt_range[:7].T.tolist()
    settings = ArmSettings(low, high, SPEEDS, HOME, BOX, OPENING)
    return HandControl(kinematics.links(LINKS), torch.tensor(tool, dtype=torch.float64), settings, CONTROL_TIMESTEP)


def positive(quaternion: Tensor) -> Tensor:
    """Choose of the two quaternions (N, 4) of a rotation the one with w >= 0."""
    return torch.where(quaternion[:, :1] < 0, -quaternion, quaternion)


TASKS = {f"panda_tabletop{'' if shape == 'box' else '_' + shape}": partial(Tabletop, shape) for shape in SHAPES}
