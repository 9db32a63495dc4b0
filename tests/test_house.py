"""The house rules: imports run one way, files and functions stay small, pins agree."""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
COMMANDS = {"train", "evaluate", "visualize"}
OURS = {"agents", "envs", "views", "world_models"} | COMMANDS
MAY_IMPORT = {
    "envs": {"envs"},
    "world_models": {"world_models"},
    "agents": {"agents", "world_models"},
    "views": {"agents", "envs", "views", "world_models"},
    "train.py": {"agents", "envs", "world_models"},
}
SIMULATORS = {"mujoco", "mujoco_warp", "warp", "dm_control", "gymnasium"}
SPACES = "gymnasium.spaces"  # shapes and bounds alone, in which stable-baselines3 is told what an agent sees
FOLDERS = {".ci", "agents", "docs", "envs", "tests", "views", "world_models"}
WIDE = {"Exception", "BaseException"}
FILE_LINES, FUNCTION_LINES = 300, 60


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from [ROOT / folder] if folder.endswith(".py") else sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the top-level name of every import, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, top(alias.name)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its direction"
            yield node.lineno, top(node.module or "")


def top(module: str) -> str:
    return module if module == SPACES else module.split(".")[0]


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_run_one_way(folder: str) -> None:
    forbidden = OURS - MAY_IMPORT[folder]
    wrong = [f"{p}:{n} imports {name}" for p in sources(folder) for n, name in imported(p) if name in forbidden]
    assert not wrong


def test_agents_and_world_models_never_touch_a_simulator() -> None:
    paths = sources("agents", "world_models")
    assert not [f"{p}:{n} imports {name}" for p in paths for n, name in imported(p) if name in SIMULATORS]


def test_world_models_know_torch_and_themselves() -> None:
    known = sys.stdlib_module_names | {"torch", "tensordict", "world_models"}
    assert not [
        f"{p}:{n} imports {name}" for p in sources("world_models") for n, name in imported(p) if name not in known
    ]


def test_files_and_functions_hold_one_idea() -> None:
    long = []
    for path in [*sources("agents", "envs", "views", "world_models", "tests"), *ROOT.glob("*.py")]:
        text = path.read_text()
        long += [f"{path}: {text.count(chr(10))} lines"] if text.count("\n") > FILE_LINES else []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (lines := node.end_lineno - node.lineno + 1) > FUNCTION_LINES:
                long.append(f"{path}:{node.lineno} {node.name}: {lines} lines")
    assert not long


def test_top_level_folders() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    assert {name.split("/")[0] for name in files if "/" in name} <= FOLDERS
    assert {name.removesuffix(".py") for name in files if name.endswith(".py") and "/" not in name} <= COMMANDS


def test_nothing_catches_everything() -> None:
    wide = []
    for path in [*sources("agents", "envs", "views", "world_models"), *ROOT.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in WIDE):
                wide.append(f"{path}:{node.lineno}")
    assert not wide


def test_pins_lie_in_the_ranges() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    ranges = config["options"]["install_requires"] + config["options.extras_require"]["test"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for requirement in map(Requirement, ranges.split()):
        assert pins[requirement.name] in requirement.specifier, f"{requirement} against {pins[requirement.name]}"
    assert not [name for name in pins if name.startswith(("nvidia", "cuda", "triton"))]


def test_states_do_not_wait_for_warp() -> None:
    """It takes seconds to import, and only pictures and physics on a device need it."""
    code = "import sys, envs.gym, evaluate, visualize; envs.make('cartpole_balance'); print('warp' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "False"


def anchors(page: Path) -> set[str]:
    """Return the names by which a page's headings are linked, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"(?:\]\(|src=\")([^)\"\s]+)", text) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links {link}"
        assert not anchor or anchor in anchors(target), f"{page} links {link}"
