"""The page of an archive in a real browser: what is drawn, who plays, and how it is used."""

import io
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pages
import pytest
import torch
from browser import Tab
from PIL import Image

from agents.archive.tessellations import Grid


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Return the page of an archive of Voronoi cells, the archive as shown, and the motions."""
    shown, played = pages.shown("", pages.cvt(), 3)
    return pages.write(tmp_path_factory.mktemp("one") / "archive.html", (shown, played)), shown, played


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Return the page of two archives, the second a grid without a history, and both as shown, with their motions."""
    second, played = pages.shown("second", pages.grid(), 5)
    parts = [pages.shown("first", pages.cvt(), 3), (replace(second, frames=()), played)]
    return pages.write(tmp_path_factory.mktemp("two") / "archive.html", *parts), parts


def place(tab: Tab, number: int, measures: list[float]) -> tuple[float, float]:
    """Return where in the window a map shows measures."""
    script = f"""(() => {{ const c = document.querySelectorAll('.map canvas')[{number}];
        c.scrollIntoView({{block: 'center'}}); const b = c.getBoundingClientRect();
        return [b.left, b.top, b.width, b.height]; }})()"""
    left, top, width, height = tab.run(script)
    return left + measures[0] * width, top + (1 - measures[1]) * height


def poses_of(motion, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Return MuJoCo's poses of all bodies at a recorded row."""
    model = pages.environments(1).model
    data = mujoco.MjData(model)
    data.qpos[:] = motion.coordinates.values()[row]
    mujoco.mj_kinematics(model, data)
    return data.xpos, data.xquat


def calm(tab: Tab) -> None:
    """Assert that nothing was complained about, and nothing but the file asked for."""
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith("data:")] == tab.requests[:1]
    assert tab.requests[0].startswith("file://")


def test_loads_from_disk_and_asks_for_nothing_else(tab: Tab, one: tuple) -> None:
    tab.open(one[0])
    assert tab.run("document.title") == "Elites that <walk>"
    assert tab.run("document.querySelector('.top p').textContent") == "two & more"
    best = int(one[1].archive.objective.argmax())
    assert [pose["cell"] for pose in tab.run("empower.poses()")] == [best]
    tab.wait("empower.page.time > 0.2")  # it plays by itself
    calm(tab)


def test_a_click_plays_the_cells_elite_in_mujocos_poses(tab: Tab, one: tuple) -> None:
    path, shown, played = one
    tab.open(path)
    elites, centroids = shown.archive.elites(), shown.archive.tessellation.centroids
    assert len(elites) > 20
    for n in range(0, len(elites), 5):
        cell = int(elites["cell"][n])
        tab.click(*place(tab, 0, centroids[cell].tolist()))
        tab.run(f"empower.seek({17 * played[n].seconds})")
        (pose,) = tab.run("empower.poses()")
        assert (pose["map"], pose["cell"]) == (0, cell)
        positions, quaternions = poses_of(played[n], 17)
        np.testing.assert_allclose(pose["qpos"], played[n].coordinates.values()[17], atol=1e-12)
        np.testing.assert_allclose(pose["positions"], positions, atol=1e-7)
        np.testing.assert_allclose(pose["quaternions"], quaternions, atol=1e-7)
        said = tab.run("document.querySelector('[role=status]').textContent")
        assert f"cell {cell}: return {float(elites['objective'][n]):.1f}"[:-2] in said
    calm(tab)


def test_an_empty_cell_is_said_to_be_empty(tab: Tab, one: tuple) -> None:
    path, shown, _ = one
    tab.open(path)
    before = tab.run("empower.poses()[0].cell")
    empty = int((~shown.archive.occupied).nonzero()[0])
    tab.click(*place(tab, 0, shown.archive.tessellation.centroids[empty].tolist()))
    assert tab.run("document.querySelector('[role=status]').textContent") == f"cell {empty}: empty"
    assert tab.run("empower.poses()[0].cell") == before


def test_between_rows_it_moves_evenly(tab: Tab, one: tuple) -> None:
    path, shown, played = one
    tab.open(path)
    n = int((shown.archive.elites()["cell"] == tab.run("empower.poses()[0].cell")).nonzero())
    tab.run(f"empower.seek({8.25 * played[n].seconds})")
    rows = played[n].coordinates.values()
    np.testing.assert_allclose(tab.run("empower.poses()[0].qpos"), 0.75 * rows[8] + 0.25 * rows[9], atol=1e-9)
    tab.run("empower.seek(1e9)")
    np.testing.assert_allclose(tab.run("empower.poses()[0].qpos"), rows[-1], atol=1e-12)


def test_the_body_is_drawn_where_it_is(tab: Tab, one: tuple) -> None:
    tab.open(one[0])
    for turn in (0, 150):
        x, y = tab.run(
            "(b => [b.left + 20, b.top + 20])(document.querySelector('.viewer canvas').getBoundingClientRect())"
        )
        tab.drag(x, y, turn, 30)
        tab.run("empower.seek(0.3)")
        at = tab.run("""(() => { const v = empower.page.viewers[0], c = v.canvas, b = c.getBoundingClientRect();
            const followed = v.pose.positions[1], z = v.scene.centre[2];
            const m = v.scene.camera.view([followed[0], followed[1], z], c.width / c.height, 1).matrix;
            return v.pose.positions.slice(1).map(p => { const clip = [0, 1, 2, 3].map(
                r => m[r] * p[0] + m[4 + r] * p[1] + m[8 + r] * p[2] + m[12 + r]);
                return [b.left + (clip[0] / clip[3] + 1) / 2 * b.width, b.top + (1 - clip[1] / clip[3]) / 2 * b.height];
            }); })()""")
        picture = np.asarray(screen(tab)).astype(int)
        colours = np.array([picture[round(v), round(u)] for u, v in at])
        assert (colours[:, 0] > colours[:, 2] + 40).all()  # brown: the walker's joints lie inside its capsules
        corner = picture[round(y), round(x)]
        assert corner[2] >= corner[0]  # blue or grey


def screen(tab: Tab) -> Image.Image:
    path = tab.folder / "screen.png"
    tab.picture(path)
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


def test_keys_move_over_cells_and_pause(tab: Tab, one: tuple) -> None:
    path, shown, _ = one
    tab.open(path)
    centroids = shown.archive.tessellation.centroids
    tab.run("document.querySelector('.map canvas').focus()")
    for key, axis, sign in (("ArrowLeft", 0, -1), ("ArrowUp", 1, 1), ("ArrowRight", 0, 1), ("ArrowDown", 1, -1)):
        before = tab.run("empower.poses()[0].cell")
        tab.key(key)
        after = tab.run("empower.poses()[0].cell")
        assert after != before and shown.archive.occupied[after]
        assert sign * (centroids[after] - centroids[before])[axis] > 0
        assert f"cell {after}: return" in tab.run("document.querySelector('[role=status]').textContent")
    tab.key("Home")
    assert tab.run("empower.poses()[0].cell") == int(shown.archive.objective.argmax())
    playing = tab.run("empower.page.playing")
    tab.key(" ")
    assert tab.run("empower.page.playing") is (not playing)
    assert tab.run("document.querySelector('#play').getAttribute('aria-label')") == ("Play" if playing else "Pause")
    tab.run("empower.seek(0.1)")
    tab.key(".")
    assert tab.run("empower.page.time") == pytest.approx(0.1 + one[2][0].seconds)


def test_a_choice_plays_after_the_end_but_not_after_a_pause(tab: Tab, one: tuple) -> None:
    path, shown, _ = one
    tab.open(path)
    first, second = shown.archive.tessellation.centroids[shown.archive.occupied][:2].tolist()
    tab.run("document.querySelector('#loop').click()")
    tab.run("empower.page.time = empower.page.duration - 0.01")
    tab.wait("!empower.page.playing && empower.page.time === empower.page.duration")
    tab.click(*place(tab, 0, first))
    assert tab.run("document.querySelector('#play').getAttribute('aria-label')") == "Pause"
    tab.wait("empower.page.time > 0")
    tab.run("document.querySelector('#play').click()")
    tab.click(*place(tab, 0, second))
    assert tab.run("[empower.page.playing, empower.page.time]") == [False, 0]


def test_history_shows_what_was_there(tab: Tab, one: tuple) -> None:
    path, shown, _ = one
    tab.open(path)
    tab.run("document.querySelector('#history').focus()")
    for _ in range(3):
        tab.key("ArrowLeft")
    at, values = shown.frames[-4]
    expected = [None if value == -np.inf else value for value in values.tolist()]
    assert tab.run("Array.from(empower.page.maps[0].values, v => Number.isNaN(v) ? null : v)") == expected
    filled = sum(value is not None for value in expected)
    assert tab.run("document.querySelector('#moment').textContent") == f"{at} solutions offered, {filled} cells"
    tab.run("document.querySelector('#fill').click()")
    tab.wait("document.querySelector('#moment').textContent.startsWith('97 ')")
    now = tab.run("Array.from(empower.page.maps[0].values, v => Number.isNaN(v) ? null : v)")
    assert now == [
        value if there else None
        for value, there in zip(shown.archive.objective.tolist(), shown.archive.occupied.tolist(), strict=True)
    ]


def test_words_are_of_the_moment_that_is_shown(tab: Tab, one: tuple, tmp_path: Path) -> None:
    """Of the same elite as well: to be played again has changed its value."""
    _, shown, played = one
    objective, (first, second) = shown.archive.objective, shown.archive.elites()["cell"].tolist()[:2]
    before = objective.clone()
    before[first], before[second] = 2.0, -torch.inf
    changed = replace(shown, frames=[(61, before), (97, objective)])
    tab.open(pages.write(tmp_path / "archive.html", (changed, played)))
    tab.run("document.querySelector('#history').focus()")
    x, y = place(tab, 0, shown.archive.tessellation.centroids[first].tolist())
    tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    tab.key("ArrowLeft")
    assert tab.run("document.querySelector('#pointed').textContent").startswith(f"cell {first}: return 2 then, now ")
    assert marked(tab) == pytest.approx(tab.run("empower.page.scale.share(2)"), abs=1e-5)
    same = int(shown.archive.elites()["cell"][2])
    now = {cell: tab.run(f"empower.page.maps[0].data.describe({cell}).caption").split()[-1] for cell in (first, second)}
    words = {cell: tab.run(f"empower.page.maps[0].describe({cell}).caption") for cell in (first, second, same)}
    assert words[first] == f"cell {first}: return 2 then, now {now[first]}"
    assert words[second] == f"cell {second}: empty then; now return {now[second]}"
    assert "then" not in words[same]
    assert tab.run("document.querySelector('#moment').textContent").startswith("61 solutions offered, ")


def test_value_under_the_pointer(tab: Tab, one: tuple) -> None:
    path, shown, _ = one
    tab.open(path)
    elites = shown.archive.elites()
    cell, objective = int(elites["cell"][7]), float(elites["objective"][7])
    x, y = place(tab, 0, shown.archive.tessellation.centroids[cell].tolist())
    tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert tab.run("document.querySelector('#pointed').textContent").startswith(
        f"cell {cell}: return {objective:.2f}"[:-1]
    )
    low, high = float(elites["objective"].min()), float(elites["objective"].max())
    assert marked(tab) == pytest.approx((objective - low) / (high - low), abs=1e-5)


def marked(tab: Tab) -> float:
    """Return the share of the colours' scale at which its marker lies."""
    return float(tab.run("document.querySelector('#marker').style.left").rstrip("%")) / 100


def test_two_archives_side_by_side(tab: Tab, two: tuple) -> None:
    path, parts = two
    tab.open(path)
    assert tab.run("empower.poses().map(p => [p.letter, p.map])") == [["A", 0], ["B", 1]]
    (_, _), (second, played) = parts
    elites = second.archive.elites()
    cell = int(elites["cell"][4])
    tab.click(*place(tab, 1, [(cell // 7 + 0.5) / 5, (cell % 7 + 0.5) / 7]))
    tab.run(f"empower.seek({9 * played[4].seconds})")
    first, pose = tab.run("empower.poses()")
    assert (pose["map"], pose["cell"], first["map"]) == (1, cell, 0)
    np.testing.assert_allclose(pose["positions"], poses_of(played[4], 9)[0], atol=1e-7)
    scale = tab.run("[empower.page.scale.low, empower.page.scale.high]")
    both = np.concatenate([shown.archive.elites()["objective"].numpy() for shown, _ in parts])
    assert scale == [both.min(), both.max()]
    assert tab.run("[...document.querySelectorAll('.chart polyline')].length") == 2
    assert tab.run("document.querySelector('td').textContent") == "5"
    told = tab.run("[document.querySelector('#moment').textContent, document.querySelector('#history').ariaValueText]")
    assert told == 2 * [f"first: 97 solutions offered, {len(parts[0][1])} cells"]
    calm(tab)


def test_up_to_four_viewers(tab: Tab, one: tuple) -> None:
    path, shown, _ = one
    tab.open(path)
    centroids, cells = shown.archive.tessellation.centroids, shown.archive.elites()["cell"].tolist()[:3]
    for cell in cells:
        tab.run("document.querySelector('#add').click()")
        tab.click(*place(tab, 0, centroids[cell].tolist()))
    assert [pose["cell"] for pose in tab.run("empower.poses()")][1:] == cells
    assert tab.run("document.querySelector('#add').disabled")
    assert tab.run("document.querySelectorAll('.viewer')[1].querySelector('button').click()") is None
    assert tab.run("empower.poses().map(p => p.letter)") == ["A", "C", "D"]
    assert not tab.run("document.querySelector('#add').disabled")
    calm(tab)


def test_what_is_chosen_is_on_the_map(tab: Tab, tmp_path: Path) -> None:
    """Also if it is thinner than a step of the slider, which moves the slice only when it is moved itself."""
    edges, played = pages.shown("", Grid((2, 3, 5), pages.SIDES), 5)
    elites = edges.archive.elites()
    # what rounding puts just below an edge belongs to the cell above it
    elites["measures"][:, 2] = (elites["cell"] % 5 * 0.3 - 1e-7).clamp(min=0)
    added = edges.archive.add(elites["solution"], elites["objective"] + 1, elites["measures"])
    assert torch.equal(added.cell, elites["cell"])
    tab.open(pages.write(tmp_path / "archive.html", pages.shown("", pages.slabs(101), 3), (edges, played)))
    missing = tab.run("""empower.page.maps.map(map => [...map.data.index.keys()].filter(cell => {
        empower.page.choose(map, cell); return !map.ids.includes(cell); }))""")
    assert missing == [[], []]
    tab.run("""(input => { input.value = 12; input.dispatchEvent(new Event('input')); })(
        document.querySelector('.sliders input'))""")
    assert tab.run("empower.page.maps[0].slice.at[2]") == pytest.approx(12.5 * 1.5 / 48)
    assert tab.run("document.querySelector('.sliders input').getAttribute('aria-valuetext')") == "0.391"
    calm(tab)


def test_what_the_browser_lacks_is_said(tab: Tab, one: tuple) -> None:
    source = """const get = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext =
        function(kind, ...more) { return kind === "webgl2" ? null : get.call(this, kind, ...more); }"""
    added = tab.send("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"]
    tab.open(one[0])
    tab.send("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    assert "this browser has no WebGL 2" in tab.run("document.querySelector('#failure').textContent")
