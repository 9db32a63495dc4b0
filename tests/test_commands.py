"""The commands as people meet them: the README's lines, and one clear line for every mistake."""

import re
import shlex
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
from tiny import refused

import envs
import evaluate
import train
import visualize
from agents.config import flatten
from agents.presets import AGENTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]


def readme_command(words: str) -> list[str]:
    """Return the words of the README's first shell command that contains `words`, after `&&`."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    line = next(block for block in blocks if words in block)
    return shlex.split(line.split("&&")[-1])


def test_the_readme_trains_what_it_says() -> None:
    python, script, *line = readme_command("train.py")
    command = train.parse(line, AGENTS)
    assert (python, script, command.run) == (".venv/bin/python", "train.py", "runs/walker")
    config = command.config
    assert (config.name, config.task, config.distraction) == ("infopower-small", "walker_stand", "video")
    assert f"{config.steps:,} environment steps" in README


def test_the_docs_name_every_task_and_agent_and_only_options_that_exist() -> None:
    tasks = (ROOT / "docs" / "environments.md").read_text().split("<!-- tasks")[1].split("<!-- /tasks")[0]
    assert sorted(re.findall(r"`(\w+_\w+)`", tasks)) == sorted(envs.TASKS)
    options = {name for config in AGENTS.values() for name in flatten(config)} | {"run", "resume"}
    train_section = (ROOT / "docs" / "command_line.md").read_text().split("## Train")[1].split("## Evaluate")[0]
    named = {name for name in re.findall(r"`--([\w.-]+)`", train_section) if name != "agent."}
    assert len(named) > 10 and not named - options
    agents = README.split("## Agents")[1].split("\n## ")[0]
    assert {name.removesuffix("-small") for name in AGENTS if "tabletop" not in name} == {
        name for name in re.findall(r"`([\w-]+)`", agents) if name in AGENTS
    }


def test_the_docs_name_every_measure() -> None:
    """Those of a task stand in the rows whose pattern fits it, in order."""
    table = (ROOT / "docs" / "environments.md").read_text().split("<!-- measures")[1].split("<!-- /measures")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    rows = [[re.findall(r"`([\w*]+)`", cell) for cell in line.split("|")[1:3]] for line in lines]
    for task, make in envs.tasks.TASKS.items():
        named = [name for tasks, names in rows if any(fnmatch(task, pattern) for pattern in tasks) for name in names]
        assert named == list(make().measures), task


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that exist, and headings of theirs."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], target


@pytest.mark.parametrize(
    ("main", "words", "line"),
    [
        (train.main, "infopower-small --taks walker_stand", "--taks, walker_stand: did you mean --task?"),
        (train.main, "slim-small --agent.epoch 3", "--agent.epoch, 3: did you mean --agent.epochs?"),
        (train.main, "slim-small --steps ten", "--steps: 'ten' is not a whole number"),
        (train.main, "slim-small --device cuad", "invalid choice 'cuad' for argument '--device'"),
        (train.main, "slim-small --seed", "missing value for argument '--seed'"),
        (train.main, "", "expected one of {infopower, infopower-small, "),
        (evaluate.main, "", "name a RUN: evaluate.py RUN"),
        (evaluate.main, "runs/walker --distrction video", "--distrction, video: did you mean --distraction?"),
        (visualize.main, "runs/walker --otu picture.png", "--otu, picture.png: did you mean --out?"),
    ],
)
def test_what_is_no_command_is_one_line(
    main: Callable[[list[str]], None], words: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in refused(main, words.split(), capsys)


def test_help_is_of_the_agent_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        train.main(["infopower-small", "--help"])
    told = capsys.readouterr().out
    assert not caught.value.code and "--agent.starts INT" in told and "--agent.archive" not in told
