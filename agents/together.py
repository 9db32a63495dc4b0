"""InfoPower, SLIM, PGA-MAP-Elites and an archive of SLIM's skills in one run, on one replay of what all saw.

Environments are divided among them. Whose rows each may learn from, and why:

    world model      everybody's. It predicts what is seen and earned given the action, whoever chose that.
    inverse model    everybody's, but what it learns of them is q(a | z, z-) of all policies mixed. Its answer is still
                     a lower bound on InfoPower's I(A; Z | Z-), as for any q, and a looser one.
    InfoPower's      states of any row, from which it imagines: what follows is its own actions in the model.
    actor, critic
    TD3 of PGA-      every transition: Q-learning asks for (s, a, r, s'), not for who chose a. States that the greedy
    MAP-Elites       actor would not come to weigh as much as others. Policies are varied on the same states.
    SLIM, with phi   its own alone. PPO divides by the density with which the policy acted, which is its own since the
                     last update, so that ratios begin at 1, but for the first row of each batch, which the policy
                     before that update answered; rows of others have no such density. Not even those of `skills`: its
                     policy acted there, but without noise, by skills that selection chose. phi may see InfoPower's
                     latent of its rows: `agents/slim/discovery.py` says what that is worth.
    archives         their own episodes: a solution is judged by what it did.
    read-out         every row: what the world model's features say of states and measures, whoever acted. By it the
                     model may imagine offspring of MAP-Elites: with `imagined`, those that it votes for are played.
    skills           plays SLIM's policy as it is now, by reference: a checkpoint holds it once, with SLIM. What elites
                     did is out of date when the policy has moved, so half of their episodes play elites again.

Of each batch the share `shared` is drawn so, the rest from one's own rows: all of it at 0, what is compared with.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any

import torch

from agents.agent import Agent
from agents.config import Config, option
from agents.crew import Crew, Member
from agents.infopower import InfoPower, InfoPowerConfig
from agents.map_elites import MapElites
from agents.map_elites.imagined import screened
from agents.map_elites.latent_foresight import LatentForesight, LatentForesightConfig
from agents.map_elites.pga_map_elites import PGAMapElitesConfig, pga_map_elites
from agents.map_elites.skill_map_elites import LiveSkillsConfig, live_skill_map_elites
from agents.schedule import Ratio
from agents.slim import Slim, SlimConfig
from agents.slim.discovery import Places
from agents.spaces import Spaces

log = logging.getLogger(__name__)

SHARING = ("infopower", "map_elites")  # those that may learn from everybody's rows


@dataclass(frozen=True)
class Each:
    """A number for each member."""

    infopower: float
    slim: float
    map_elites: float
    skills: float


@dataclass(frozen=True)
class TogetherConfig:
    infopower: InfoPowerConfig = field(default_factory=InfoPowerConfig)
    slim: SlimConfig = field(default_factory=SlimConfig)
    map_elites: PGAMapElitesConfig = field(default_factory=PGAMapElitesConfig)
    skills: LiveSkillsConfig = field(default_factory=LiveSkillsConfig)
    imagined: LatentForesightConfig = field(default_factory=LatentForesightConfig)
    """How InfoPower's world model judges offspring of MAP-Elites before they are played: not at all by default."""
    envs: Each = Each(1, 4, 3, 0)
    """How --num-envs are divided, in proportion; 0 leaves one out."""
    updates: Each = Each(1, 1, 1, 1)
    """Each one's updates for an environment step of its own, times --train-ratio."""
    shared: float = 0.5
    """Share of each batch of the world model and of TD3 that is drawn from everybody's rows; the rest from its own."""


def together(spaces: Spaces, config: TogetherConfig, device: torch.device | str = "cpu") -> Crew:
    """Make each for its share of the environments; raise ValueError, in one line, for what cannot be."""
    check(config)
    agents: dict[str, Any] = {}
    making: dict[str, Callable[[Spaces], Agent]] = {
        "infopower": lambda own: InfoPower(own, config.infopower, device),
        "slim": lambda own: Slim(own, config.slim, device, latent_of(agents.get("infopower"))),
        "map_elites": lambda own: map_elites(own, config, agents.get("infopower"), device),
        "skills": lambda own: live_skill_map_elites(own, config.skills, agents["slim"], device),
    }
    updates, members = asdict(config.updates), {}
    for name, envs in divided(spaces.num_envs, asdict(config.envs)).items():
        agents[name] = made(name, making[name], replace(spaces, num_envs=len(envs)))
        due = Ratio(updates[name] * len(envs) / spaces.num_envs, 1)
        members[option(name)] = Member(agents[name], envs, due, shared=config.shared if name in SHARING else 0.0)
    log.info("environments: %s", ", ".join(f"{name} {len(member.envs)}" for name, member in members.items()))
    return Crew(members, device)


def map_elites(
    spaces: Spaces, config: TogetherConfig, infopower: InfoPower | None, device: torch.device | str
) -> MapElites:
    """Make PGA-MAP-Elites, whose offspring InfoPower's world model imagines first if more are made than are played."""
    agent, imagined = pga_map_elites(spaces, config.map_elites, device), config.imagined
    if imagined.offspring == 1 or infopower is None:
        return agent
    foresight = LatentForesight(spaces, infopower, imagined, device)
    return screened(agent, foresight, imagined.offspring, imagined.learned, spaces)


def check(config: TogetherConfig) -> None:
    """Raise ValueError, in one line, for numbers that make no sense."""
    if not 0 <= config.shared <= 1:
        raise ValueError(f"--agent.shared must be from 0 to 1, not {config.shared:g}")
    for name, ratio in asdict(config.updates).items():
        if ratio < 0:
            raise ValueError(f"--agent.updates.{option(name)} must be at least 0, not {ratio:g}")
    for name in ("offspring", "learned", "samples", "batch", "length"):
        if getattr(config.imagined, name) < 1:
            raise ValueError(f"--agent.imagined.{name} must be at least 1, not {getattr(config.imagined, name)}")
    if config.imagined.offspring > 1 and not config.envs.infopower:
        raise ValueError(
            f"--agent.imagined.offspring {config.imagined.offspring} asks infopower's world model: give "
            "--agent.envs.infopower a share too"
        )
    if config.envs.skills and not config.envs.slim:
        raise ValueError(
            f"--agent.envs.skills {config.envs.skills:g} plays what slim learns: give --agent.envs.slim a share too"
        )


def latent_of(infopower: InfoPower | None) -> Places | None:
    """Return InfoPower's features of rows, if there is one, for phi to see."""
    if infopower is None:
        return None
    # as many rows before as the model is used to, for its recurrent state to settle
    return Places(infopower.model.core.feat, infopower.filtered, infopower.config.length)


def parts_of(config: Config[Any]) -> dict[str, Config[Any]]:
    """Return the settings of what is evaluated alone of a run, by the names of `policies_of`."""
    if not isinstance(config.agent, TogetherConfig):
        return {"": config}
    names = [name for name, share in asdict(config.agent.envs).items() if share]
    return {f"{option(name)}/": replace(config, agent=getattr(config.agent, name)) for name in names}


def learner_of(config: Config[Any]) -> str | None:
    """Return which of the agents of a run learns skills, as `parts_of` names them."""
    return next((name for name, part in parts_of(config).items() if isinstance(part.agent, SlimConfig)), None)


def divided(num_envs: int, shares: Mapping[str, float]) -> dict[str, range]:
    """Divide environments in proportion to shares, side by side; whoever has the share 0 is left out."""
    if min(shares.values()) < 0 or not sum(shares.values()) > 0:
        told = " ".join(f"{option(name)} {share:g}" for name, share in shares.items())
        raise ValueError(f"--agent.envs are shares of at least 0, and one above 0, not {told}")
    ends = [round(num_envs * up_to / sum(shares.values())) for up_to in accumulate(shares.values(), initial=0)]
    found = {}
    for (name, share), envs in zip(shares.items(), map(range, *zip(*pairwise(ends), strict=True)), strict=True):
        if share and not envs:
            raise ValueError(f"--agent.envs.{option(name)} {share:g} gets none of --num-envs {num_envs}: raise either")
        if share:
            found[name] = envs
    return found


def made(name: str, make: Callable[[Spaces], Agent], spaces: Spaces) -> Agent:
    """Make a member; errors name its options as they are here."""
    try:
        return make(spaces)
    except ValueError as error:
        raise ValueError(str(error).replace("--agent.", f"--agent.{option(name)}.")) from error
