"""dm_control's own environments, by the names that its tasks have here."""

from functools import partial

from dm_control import suite
from dm_control.rl.control import Environment


def dm_control(name: str, seed: int | None = None) -> Environment:
    """Load dm_control's environment of one of our names, such as "ball_in_cup_catch"."""
    domain = max((domain for domain in suite._DOMAINS if name.startswith(domain + "_")), key=len)
    load = partial(suite.load, domain, name.removeprefix(domain + "_"))
    environment = load(task_kwargs={"random": seed})
    if domain == "lqr":  # one system, of this seed, in all of ours: dm_control draws springs when it loads
        from envs.tasks import lqr  # here, because peers that are measured load nothing of ours

        springs = load(task_kwargs={"random": lqr.SPRINGS_SEED}).physics.model.jnt_stiffness
        environment.physics.model.jnt_stiffness[:] = springs
    return environment
