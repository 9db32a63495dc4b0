"""How much room MuJoCo Warp gives contacts, which it drops where they do not fit.

Twice the most that random actions have brought about (`docs/parity.md` has the figures), and more where a body can come
to lie on its whole length. Room for contacts is shared by all environments, so it counts for each on average; room for
constraint rows, among them limits of joints, is each environment's own.
"""

from envs.checks import check_whole

USUAL = (24, 64)  # contacts, constraint rows
DOMAINS = {
    "dog": (80, 640),
    "humanoid": (48, 128),
    "humanoid_CMU": (64, 192),
    "manipulator": (24, 96),
    "panda": (32, 160),
    "quadruped": (32, 96),
    "stacker": (56, 160),
}


def of(task: str, contacts: int | None = None, constraints: int | None = None) -> tuple[int, int]:
    """Return the room for contacts and for constraint rows of each environment, where it is not given.

    Raises ValueError for a room without place for any.
    """
    check_whole(1, contacts=contacts, constraints=constraints)
    domain = max((name for name in DOMAINS if task.startswith(name + "_")), key=len, default="")
    measured = DOMAINS.get(domain, USUAL)
    return contacts or measured[0], constraints or measured[1]
