"""A trained SLIM run as a library of skills: saved in one folder, loaded anywhere, found by what they do, and used.

library = SkillLibrary.load("runs/skills")          # the run, or the folder that evaluate.py --library wrote in it
skill = library.nearest({"displacement_0": 0.2})    # (Z,)
action = library.act(timestep["state"], skill)      # (N, A)
library.to_goal(goal), library.plan(goal)           # policies
library.as_env(env, hold=5)                         # environments whose actions are skills
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agents.config import Config, rebuild
from agents.normalize import FAR, RunningNormalizer
from agents.runs import tensor_folder
from agents.runs.tensor_folder import DAMAGE, one_line
from agents.skills.env import SkillEnv
from agents.skills.goals import ToGoal, Waypoints
from agents.skills.model import SkillModel, try_skills
from agents.skills.planning import Model, PlanConfig, Planner
from agents.skills.table import SkillTable, measure
from agents.slim import Slim, SlimConfig
from agents.slim.discovery import Discovery
from agents.slim.nets import SkillNets
from agents.slim.priors import drawn_skills, even_skills
from agents.slim.rewards import DISCOVERIES

log = logging.getLogger(__name__)

FORMAT = 1
FOLDER, DESCRIPTION = "library", "library.json"
PACKAGES = ("empower", "torch", "mujoco", "dm-control")
SKILLS, RESETS, HOLD = 64, 8, 5  # of a library that nobody asked to be larger
TRIED, LEARNING = 200, 1500  # skills that each environment tries for the model, and its gradient steps


@dataclass(frozen=True)
class Origin:
    """Where skills come from, and what they are for."""

    task: str
    action_repeat: int
    time_limit: int
    """Control steps of an episode; 0 is the task's own."""
    state_dim: int
    action_dim: int
    place_dim: int
    """Numbers of a place, as phi reads it; 0 if that is not a position or a state."""
    position_dim: int
    step: int
    """Environment steps of training."""
    versions: Mapping[str, str]


class Skills(nn.Module):
    """What is left of a learner that only acts: policy, observation normaliser, phi with its normaliser."""

    def __init__(self, config: SlimConfig, origin: Origin) -> None:
        super().__init__()
        c, names = config, [word.partition(":")[0] for word in config.rewards]
        learned = [name for name in names if name in DISCOVERIES]
        nets = SkillNets(origin.state_dim + c.skill_dim, origin.action_dim, 1, c.hidden, c.shared)
        self.policy = nn.Sequential(nets.trunk, nets.policy)
        self.seen = RunningNormalizer(origin.state_dim)
        self.phi: Any = None
        if learned and c.discovery.reads != "latent":  # of a world model, which a library does not hold
            self.phi = Discovery(learned[0], origin.place_dim, c.skill_dim, c.discovery, "cpu").objective

    def take(self, agent: Slim) -> None:
        """Copy a learner's."""
        self.policy.load_state_dict(nn.Sequential(agent.net.trunk, agent.net.policy).state_dict())
        self.seen.load_state_dict(agent.seen.state_dict())
        if self.phi is not None and agent.discovery is not None:
            self.phi.load_state_dict(agent.discovery.objective.state_dict())

    def forward(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return the policy's mean actions (..., A) for states (..., O) and skills (..., Z)."""
        skill = skill.expand(*state.shape[:-1], skill.shape[-1])
        return self.policy(torch.cat([self.seen(state).clamp(-FAR, FAR), skill], -1)).clamp(-1, 1)


class SkillLibrary:
    """Skills, what they were measured to do, and a model of what holding them leads to."""

    def __init__(
        self,
        skills: Skills,
        table: SkillTable,
        model: SkillModel,
        config: SlimConfig,
        origin: Origin,
        errors: Mapping[str, float],
    ) -> None:
        """config: the learner's. errors: the model's, see `SkillModel.fit`."""
        self.skills, self.model = skills.eval().requires_grad_(False), model.eval().requires_grad_(False)
        self.table, self.config, self.origin, self.errors = table, config, origin, errors

    @classmethod
    def of(
        cls, agent: Slim, config: Config[Any], step: int, envs: Any, resets: int, hold: int = HOLD
    ) -> "SkillLibrary":
        """Make the library of a trained agent.

        config: of its run. step: how long it has trained. envs: a multiple of `resets` of the run's environments, with
        signals, and with the measures that the table shall hold. Each skill is played from `resets` starts; then random
        ones, held for `hold` steps each, for the model.
        """
        reads = {**envs.signal_shapes, **envs.observation_shapes}
        (position,), (state,) = reads["position"], reads["state"]
        (place,) = reads.get(agent.config.discovery.reads, (0,))
        versions = {name: installed(name) for name in PACKAGES}
        dims = (state, agent.action_dim, place, position)
        origin = Origin(config.task, config.action_repeat, config.time_limit, *dims, step, versions)
        skills = Skills(agent.config, origin)
        skills.take(agent)
        skills.to(envs.device).eval()
        spread = even_skills(torch.arange(envs.num_envs // resets, device=envs.device), agent.config.skill_dim)
        table = measure(spread, skills, envs, resets)
        held = SkillEnv(envs, skills, agent.config.skill_dim, hold)
        like = torch.zeros(1, agent.config.skill_dim, device=envs.device)
        tried = try_skills(held, lambda count: drawn_skills(like.expand(count, -1)), TRIED)
        model = SkillModel(state, agent.config.skill_dim, position, hold).to(envs.device)
        errors = model.fit(tried, LEARNING)
        return cls(skills, table, model, agent.config, origin, errors)

    def save(self, folder: Path | str) -> None:
        """Write the library into a folder, in the place of one that may be there. Raises OSError, naming the folder."""
        folder, table = Path(folder), self.table
        parts = {"skills": self.skills.state_dict(), "model": self.model.state_dict()}
        tensors = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        tensors |= {f"table.{name}": getattr(table, name) for name in ("skill", "mean", "std")}
        about = {
            "format": FORMAT,
            "origin": asdict(self.origin),
            "agent": asdict(self.config),
            "table": {"names": table.names, "skills": len(table.skill), "resets": table.resets},
            "model": {"hold": self.model.hold, **self.errors},
        }
        try:
            tensor_folder.save(folder / DESCRIPTION, about, tensors, "skills")
        except OSError as error:
            raise OSError(f"cannot write the library {folder}: {error.strerror}") from error

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> "SkillLibrary":
        """Read the library of a folder, or of a run's folder, onto a device, checking every byte.

        Raises FileNotFoundError or ValueError, in one line, when it is missing, damaged or of something else.
        """
        folder = located(Path(folder))
        about, tensors = tensor_folder.load(folder / DESCRIPTION, FORMAT, "library")
        try:
            origin, config = Origin(**about["origin"]), rebuild(SlimConfig(), about["agent"])
            seen, told = take(tensors, "table"), about["table"]
            table = SkillTable(tuple(told["names"]), seen["skill"], seen["mean"], seen["std"], told["resets"])
            skills = Skills(config, origin)
            skills.load_state_dict(take(tensors, "skills"))
            errors = about["model"]
            model = SkillModel(origin.state_dim, config.skill_dim, origin.position_dim, errors.pop("hold"))
            model.load_state_dict(take(tensors, "model"))
            library = cls(skills.to(device), table, model.to(device), config, origin, errors)
            versions = {name: (then, installed(name)) for name, then in origin.versions.items()}
        except DAMAGE as error:
            raise ValueError(f"{folder} does not describe one library: {one_line(error)}") from error
        for name, (then, now) in versions.items():
            if now != then:
                log.warning("the skills of %s were learned with %s %s; here it is %s", folder, name, then, now)
        return library

    @property
    def device(self) -> torch.device:
        return self.skills.seen.mean.device

    def nearest(self, descriptor: Mapping[str, float] | Tensor) -> Tensor:
        """Return the skill (Z,) that was measured nearest to a displacement (axes,) or to descriptors by name."""
        return self.table.skill[self.table.nearest(descriptor)].to(self.device)

    @torch.no_grad()
    def act(self, observation: Tensor, skill: Tensor) -> Tensor:
        """Return actions (N, A) for states (N, O) and a skill (Z,), or one for each, (N, Z)."""
        if observation.shape[-1] != self.origin.state_dim or skill.shape[-1] != self.config.skill_dim:
            raise ValueError(
                f"these skills have {self.config.skill_dim} numbers and read states of {self.origin.state_dim}, not "
                f"skills {tuple(skill.shape)} and states {tuple(observation.shape)}"
            )
        return self.skills(observation, skill)

    def to_goal(self, goal: Tensor, radius: float = 0.05) -> ToGoal:
        """Return a policy that takes z = unit(phi(g) - phi(s)) in every step, on environments with signals.

        goal: a position (G,), way-points (W, G), or those of each environment (N, W, G); where phi reads states, they
        are states. radius: how near to a way-point the next one is begun. Raises ValueError if there is no phi.
        """
        if self.skills.phi is None:
            raise ValueError("these skills have no phi of positions or states, by which they would go to goals")
        waypoints = Waypoints(goal, radius, self.origin.place_dim, self.device)
        return ToGoal(self.act, self.skills.phi.toward, self.config.discovery.reads, waypoints)

    def plan(
        self, goal: Tensor, radius: float = 0.05, config: PlanConfig | None = None, model: Model | None = None
    ) -> Planner:
        """Return a policy that plans sequences of skills to a position (G,), or along way-points as `to_goal` does.

        model: by default the library's own, learned when it was made; see `agents/skills/planning.py`.
        """
        waypoints = Waypoints(goal, radius, self.origin.position_dim, self.device)
        return Planner(self.act, model or self.model, self.config.skill_dim, waypoints, config or PlanConfig())

    def suit(self, task: str, action_repeat: int, observations: Mapping[str, tuple[int, ...]], action_dim: int) -> None:
        """Raise ValueError, in one line, for environments of which these skills know nothing."""
        o = self.origin
        for what, own, other in (
            ("of the task", o.task, task),
            ("with an action repeat of", o.action_repeat, action_repeat),
            ("with states of", (o.state_dim,), observations.get("state")),
            ("with actions of", o.action_dim, action_dim),
        ):
            if own != other:
                raise ValueError(f"these skills were learned {what} {own}, and the environments have {other}")

    def as_env(self, env: Any, hold: int) -> SkillEnv:
        """Return environments whose actions in [-1, 1] are skills, held for `hold` steps; see `SkillEnv`.

        Raises ValueError, in one line, for environments of another task, action repeat or observation.
        """
        self.suit(env.task, env.action_repeat, env.observation_shapes, env.action_dim)
        return SkillEnv(env, self.act, self.config.skill_dim, hold)


def write(agent: Slim, step: int, config: Config[Any], envs: Any, run: Path) -> str:
    """Make the library of a run, see `SkillLibrary.of`, write it into the run's folder, and return what to tell."""
    library = SkillLibrary.of(agent, config, step, envs, RESETS)
    library.save(run / FOLDER)
    return f"{library.table}\n\nwritten: {run / FOLDER}"


def located(folder: Path) -> Path:
    """Return where a library lies: in the folder itself or, if that is a run's, in it; raise FileNotFoundError."""
    if (folder / DESCRIPTION).exists() or not (folder / "config.json").exists():
        return folder
    if not (folder / FOLDER / DESCRIPTION).exists():
        raise FileNotFoundError(f"the run {folder} has no skill library yet: python evaluate.py {folder} --library")
    return folder / FOLDER


def installed(package: str) -> str:
    """Return a package's version, or that there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def take(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of a part, by the rest of their names."""
    found = {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
    if not found:
        raise KeyError(part)
    return found
