"""The pages' Python runs as it stands, on runs of seconds where it names one."""

import re
from pathlib import Path

import pytest
from tiny import arguments

import evaluate
import train

ROOT = Path(__file__).parent.parent
BLOCKS = {
    f"{page.name}-{number}": block
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
}
COMMON = "--device cpu --threads 1 --time-limit 20 --eval-episodes 2"
SLIM = "--num-envs 5 --steps 400 --train-ratio 0.01 --replay-size 1000 --agent.hidden 13 11 --agent.epochs 1"
SAC = "--task cartpole_balance --action-repeat 4 --num-envs 2 --steps 160 --prefill 80 --agent.net-arch 7"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the runs that pages name, hardly trained."""
    runs = tmp_path_factory.mktemp("docs") / "runs"
    pixels = ("--observation", "pixels", "--size", "32", "--agent.shift", "1")
    train.main(arguments(runs / "walker", *pixels, steps=180))
    for name, agent, options in (("skills", "slim-small", SLIM), ("sac", "sb3-sac", SAC)):
        train.main([agent, "--run", str(runs / name), *f"{options} {COMMON}".split()])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SKILLS": 7, "RESETS": 3, "TRIED": 9, "LEARNING": 3}.items():
            patch.setattr(f"agents.skills.library.{name}", value)
        evaluate.main([str(runs / "skills"), "--library"])
    return runs


@pytest.mark.parametrize("name", [name for name, block in BLOCKS.items() if "import" in block])
def test_python_of_the_pages_runs(name: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    code = BLOCKS[name].replace(".learn(10_000)", ".learn(200)")
    exec(compile(code, name, "exec"), {"__name__": name})


def test_what_does_not_run_by_itself_is_the_loop() -> None:
    (block,) = (block for block in BLOCKS.values() if "import" not in block)
    loop = (ROOT / "train.py").read_text()
    assert all(line.split(" = ")[-1].split("(")[0] in loop for line in block.splitlines()), block
