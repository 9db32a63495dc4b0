"""The configuration of a run: its options, as names, as JSON and back."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import tyro

A = TypeVar("A")
T = TypeVar("T")
ONE_AT_LEAST = (
    *("size", "action-repeat", "num-envs", "steps", "replay-size", "eval-episodes", "log-every"),
    *("batch", "length", "horizon", "starts", "hidden", "deter", "stoch", "classes", "embed", "critic", "net-arch"),
    *("convolutions", "members"),
)
LEAST = dict.fromkeys(ONE_AT_LEAST, 1) | {"inverse-bins": 2, "inverse-window": 2}  # of other whole numbers it is 0
ABOVE_ZERO = (
    *("dual-init", "dual-max", "reward-std", "std", "clip", "clip-range"),
    *("model-clip", "behaviour-clip", "max-grad-norm"),
)
SHARES = ("discount", "gamma", "lambda_", "gae-lambda", "target-rate", "tau")
NOT_NEGATIVE = ("lr", "learning-rate", "noise", "noise-clip", "exploration", "kl", "train-ratio")


@dataclass(frozen=True)
class Config(Generic[A]):
    """Settings of a run. Steps are environment steps: control steps of the simulator, action repeat included."""

    name: tyro.conf.Suppress[str]
    """The preset that this configuration started from."""
    agent: A
    task: str = "walker_stand"
    """Domain and task as dm_control names them, such as cheetah_run."""
    observation: Literal["pixels", "state"] = "pixels"
    """What the agent sees."""
    measures: tuple[str, ...] = ()
    """What tells episodes apart, of what the task measures: an archive's axes."""
    signals: bool = False
    """Whether timesteps also hold what agents' own rewards read: where the object is, how hard the joints work."""
    distraction: str = "none"
    """none, video, agent, noise, reafferent, dcs-easy, dcs-medium, dcs-hard, or a part as in dcs-easy-camera."""
    distraction_window: int = 64
    """Side of the centred square in which it moves: 32, 40 or 64."""
    background: Literal["sky+floor", "sky"] = "sky+floor"
    """What the distraction replaces; dcs-... have their own rule."""
    video_change: int = 50
    """Control steps after which another video or recording is shown, as at every episode; 0: at episodes alone."""
    video_dir: str | None = None
    """Folder of videos or frames to show instead of generated ones."""
    size: int = 64
    """Side of the frames in pixels."""
    action_repeat: int = 2
    """Control steps that an action is held."""
    num_envs: int = 8
    """Environments that step together."""
    time_limit: int = 0
    """Control steps of an episode; 0 takes dm_control's."""
    steps: int = 1_000_000
    """When to stop; --resume may change it."""
    seed: int = 0
    """Of networks, noise, starts and videos."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks, replay and pixels are; auto takes CUDA where there is one."""
    engine: Literal["auto", "c", "warp"] = "auto"
    """What simulates: C MuJoCo on processor threads, or MuJoCo Warp on the device; auto takes Warp on CUDA."""
    contacts: int = 0
    """Room that Warp gives each environment's contacts, on average; 0 takes what was measured for the task."""
    constraints: int = 0
    """Room that Warp gives each environment's constraint rows; 0 takes what was measured for the task."""
    deterministic: bool = False
    """Let Warp give the same bits in every run; on CUDA where no contact or limit acts, and slower."""
    threads: int = 0
    """Processor threads; 0 takes all."""
    train_ratio: float = 0.1
    """Updates for each environment step."""
    prefill: int = 5000
    """Steps before the first update: at random for agents with a world model and SAC; others act as they always do."""
    replay_size: int = 500_000
    """Rows of the replay: one for each action of each environment."""
    replay_dir: str | None = None
    """Folder for a scratch file that holds the replay's pixels instead of memory."""
    eval_every: int = 20_000
    """Steps between evaluations on videos that training never shows; 0 evaluates at the end only."""
    eval_episodes: int = 10
    """Greedy episodes of an evaluation, played side by side."""
    diagnostics: bool = False
    """Whether evaluations also say what the latent states hold of the simulator's state and of the background."""
    log_every: int = 1000
    """Steps between lines of metrics."""
    checkpoint_every: int = 50_000
    """Steps between checkpoints; 0 saves at the end and when stopped only."""
    keep_agents: bool = False
    """Whether the agents of earlier checkpoints stay, for evaluate.py --step; else the newest checkpoint alone."""


def validate(config: Config[Any]) -> None:
    """Raise ValueError, with the option's name, for a size that makes no sense."""
    for name, value in flatten(config).items():
        last = name.split(".")[-1]
        least, numbers = LEAST.get(last, 0), [x for x in leaves(value) if isinstance(x, int | float)]
        told = " ".join(map(str, leaves(value)))
        if any(isinstance(x, int) and x < least for x in numbers):
            raise ValueError(f"--{name} must be at least {least}, not {told}")
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"--{name} must be finite, not {told}")
        if last in ABOVE_ZERO and min(numbers) <= 0:
            raise ValueError(f"--{name} must be above 0, not {told}")
        if last in SHARES and not 0 <= value <= 1:
            raise ValueError(f"--{name} must lie from 0 to 1, not {value}")
        if last.endswith(NOT_NEGATIVE) and numbers and min(numbers) < 0:
            raise ValueError(f"--{name} must be at least 0, not {value}")
    check_seed(config.seed)
    if config.diagnostics and config.eval_episodes < 2:
        raise ValueError("--diagnostics needs --eval-episodes 2 at least: one to fit probes, another to ask about")
    if config.replay_dir and config.observation == "state":
        raise ValueError("--replay-dir holds pixels, which --observation state has none of: take --replay-dir None")
    if config.replay_size < config.num_envs:
        raise ValueError(f"--replay-size {config.replay_size} has no row for each of --num-envs {config.num_envs}")
    held = config.replay_size // config.num_envs * config.num_envs * config.action_repeat
    if config.prefill > held:
        raise ValueError(f"--prefill {config.prefill} is more than the {held} steps that --replay-size holds")


def check_seed(seed: int) -> None:
    """Raise ValueError for a seed that torch's generators do not know."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed must lie from 0 to {2**63 - 1}, not {seed}")


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Name every option of nested dataclasses as the command line does: `num-envs`, `agent.horizon`."""
    options: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        name, value = prefix + option(field.name), getattr(config, field.name)
        options |= flatten(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return options


def leaves(value: Any) -> Iterator[Any]:
    """Yield what nested tuples hold."""
    if isinstance(value, tuple):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def option(field: str) -> str:
    """Spell a field's name as the command line does; a last underscore stays."""
    return field[:-1].replace("_", "-") + field[-1]


def rebuild(default: T, values: dict[str, Any]) -> T:
    """Replace a configuration's options by those read from JSON; raise ValueError for unknown ones and other kinds."""
    changes = {}
    for name, value in values.items():
        if not hasattr(default, name):
            raise ValueError(f"the configuration has an unknown option {name}{nearest(name, vars(default))}")
        old = getattr(default, name)
        if old is not None and kind(old) != kind(value):
            raise ValueError(f"the configuration's {name} is {kind(value)} where {kind(old)} belongs")
        changes[name] = rebuild(old, value) if dataclasses.is_dataclass(old) else freeze(value)
    return dataclasses.replace(default, **changes)  # type: ignore[type-var]


def kind(value: Any) -> str:
    """Say what JSON calls a value, or what it becomes there."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", tuple: "a list"}
    return names.get(type(value), "null" if value is None else "an object")


def freeze(value: Any) -> Any:
    """Turn JSON's lists into tuples."""
    return tuple(map(freeze, value)) if isinstance(value, list) else value


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of an error line that suggests the valid name nearest to a wrong one."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1)
    return f": did you mean {close[0]}?" if close else f": choose from {', '.join(names)}"
