"""Look at runs: python visualize.py RUN [RUN ...]; learning curves as PNG, and what its agent has for a run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

import envs as environments
from agents.agent import policies_of
from agents.command_line import answered, read_command
from agents.config import Config
from agents.map_elites.solutions import Players
from agents.runs import checkpoint
from agents.runs.console import say
from agents.runs.folder import load_config
from agents.slim import Slim
from agents.together import learner_of, parts_of
from train import load_agent, make_envs
from views import archive_page, archives, curves, motions, skill_page, skills
from views.progress import counted


@dataclass(frozen=True)
class Command:
    """Draw learning curves: all metrics of one run; of several the returns, archives that all filled, or each agent's.

    Of one run that learned skills, also plays them: skills.png, skills.gif, skills.json and a page, skills.html. Of one
    that filled an archive, also plays every elite: archive.html. Pages open in a browser without a network.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders. Runs that differ in the seed alone make one line, their mean, in a band from least to most."""
    out: Path | None = None
    """PNG to write. Default: curves.png in the run; needed for several runs."""
    other: Annotated[Path | None, tyro.conf.arg(name="with")] = None
    """Another run of the same task, whose archive the page shows beside the first's."""
    seconds: float = 0.0
    """How much of each elite's episode the page replays, from the start; 0 replays all."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    with answered():
        command = read_command(Command, "visualize.py", arguments)
        if not command.runs:
            raise ValueError("name at least one run folder")
        if len(command.runs) > 1 and command.out is None:
            raise ValueError("several runs need a file to write: --out curves.png")
        if command.out is not None and (command.out.suffix != ".png" or command.out.is_dir()):
            raise ValueError(f"--out writes a PNG: name it {command.out.with_suffix('.png')}, not {command.out}")
        check(command)
        runs = [curves.load_run(folder, loaded(folder)) for folder in command.runs]
        path = command.out or command.runs[0] / "curves.png"
        curves.save(curves.draw_metrics(runs[0]) if len(runs) == 1 else curves.draw_runs(runs), path)
        found = draw_skills(command.runs[0], runs[0]) if len(runs) == 1 else {}
        page = write_page(command) if len(runs) == 1 and archives_of(command.runs[0]) else None
        empty = empty_archives(command.runs[0]) if len(runs) == 1 else []
    say(curves.summary(runs))
    for name, value in found.items():
        say(f"{name:<24}{value:>10.3f}")
    say(f"\nwritten: {path}")
    if found:
        of = command.runs[0] / (learner_of(runs[0].config) or "")
        say(f"written: {of / 'skills.html'} and, beside it, skills.png, skills.gif and skills.json")
    if page is not None:
        say(f"written: {page} ({page.stat().st_size / 1e6:.1f} MB); open it in a browser")
    for folder in empty:
        say(f"not shown: {folder} holds no elite yet")


def check(command: Command) -> None:
    """Raise ValueError for options of a page that cannot be."""
    if not command.seconds >= 0:
        raise ValueError(f"--seconds must be at least 0, not {command.seconds}")
    if command.seconds and (len(command.runs) > 1 or not archives_of(command.runs[0])):
        raise ValueError("--seconds is for the page of an archive: name one run that has filled one")
    if command.other is None:
        return
    if len(command.runs) > 1:
        raise ValueError("--with OTHER shows two archives: name one run before it")
    tasks = []
    for run in (command.runs[0], command.other):
        tasks.append(loaded(run).task)
        if not archives_of(run):
            raise ValueError(f"the run {run} has no archive with elites that --with could show")
    if tasks[0] != tasks[1]:
        raise ValueError(f"--with shows two archives of one task, not of {tasks[0]} and {tasks[1]}")


def loaded(run: Path) -> Config[Any]:
    """Read a run's configuration, for a device that is here."""
    return replace(load_config(run), device="auto")


def archives_of(run: Path) -> list[str]:
    """Return which of the agents of a run have filled archives, as `parts_of` names them."""
    return [name for name in parts_of(loaded(run)) if archives.elites_in(run / name)]


def empty_archives(run: Path) -> list[Path]:
    """Return the archives of a run that hold nothing yet."""
    folders = [run / name for name in parts_of(loaded(run))]
    return [folder / archives.FOLDER for folder in folders if archives.elites_in(folder) == 0]


def write_page(command: Command) -> Path:
    """Play the elites of a run's archives, and of another's, and write the page that shows them; return its path."""
    runs = [run for run in (command.runs[0], command.other) if run is not None]
    parts = [play_elites(run, name, command.seconds) for run in runs for name in archives_of(run)]
    config, path = loaded(command.runs[0]), command.runs[0] / "archive.html"
    about = "; ".join(archives.summary(*part) for part in parts)
    model = environments.make(config.task).model
    maps = [shown.data(played) for shown, played in parts]
    title = f"Elites of {config.task}"
    if command.other is None and (name := learner_of(config)):  # skills of the same run, beside its elites
        envs = make_envs(config, num_envs=skill_page.SHOWN, seed=config.seed + 1000)
        learner = policies_of(load_agent(command.runs[0], config, envs)[0])[name]
        with counted(envs, "skills", envs.episode_length) as playing:
            maps.append(skill_page.map_of(cast(Slim, learner), playing, "skills", "return"))
        envs.close()
        title, about = f"Elites and skills of {config.task}", f"{about}; {skill_page.SHOWN} skills"
    archive_page.write(path, title, about, "return", model, maps)
    return path


def play_elites(run: Path, name: str, seconds: float) -> tuple[archives.Shown, list[motions.Motion]]:
    """Read the archive of one of a run's agents, play each elite once, from a start that training has not seen."""
    whole = loaded(run)
    config = parts_of(whole)[name]
    told = curves.load_run(run, whole).part(name, config)
    shown = archives.load(run / name, config.measures, told, f"{run.name}/{name}".rstrip("/"))
    solutions = shown.archive.elites()["solution"]
    envs = make_envs(config, num_envs=len(solutions), seed=config.seed + 1000)
    agent: Any = policies_of(load_agent(run, whole, envs)[0])[name]
    with counted(envs, f"{len(solutions):,} elites of {shown.name}", envs.episode_length) as playing:
        played = motions.record(Players(agent.kind, solutions.to(envs.device)), playing, seconds)
    envs.close()
    return shown, played


def draw_skills(folder: Path, run: curves.Run) -> dict[str, float]:
    """Play and draw the skills of a run that has learned some, and return numbers about them."""
    name, seed = learner_of(run.config), run.config.seed + 1000  # starts that training has not seen
    if name is None or checkpoint.newest(folder / "checkpoints") is None:
        return {}
    envs = make_envs(run.config, num_envs=skills.SKILLS, seed=seed)
    agent = policies_of(load_agent(folder, run.config, envs)[0])[name]
    assert isinstance(agent, Slim)
    with counted(envs, f"{skills.SKILLS} skills", (2 * skills.EPISODES + 1) * envs.episode_length) as playing:
        played, episodes, numbers = skills.look(agent, playing)
    page = skills.draw(run.part(name, run.config), agent, played, episodes[0], numbers)
    curves.save(page, folder / name / "skills.png")
    skills.write(numbers, folder / name / "skills.json")
    envs.close()
    shown = make_envs(run.config, num_envs=skills.FILMED, seed=seed, pixels=True, state=True)
    with counted(shown, "a film of skills", shown.episode_length) as playing:
        skills.film(agent, playing, folder / name / "skills.gif")
    shown.close()
    envs = make_envs(run.config, num_envs=skill_page.SHOWN, seed=seed)
    with counted(envs, f"{skill_page.SHOWN} skills for the page", envs.episode_length) as playing:
        told = skill_page.map_of(agent, playing, run.config.name)
    about = f"{skill_page.SHOWN} skills of {run.config.name}, played once each; colours tell how far the object came"
    model = environments.make(run.config.task).model
    archive_page.write(folder / name / "skills.html", f"Skills of {run.config.task}", about, "moved", model, [told])
    envs.close()
    return numbers


if __name__ == "__main__":
    main()
