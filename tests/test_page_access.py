"""Who cannot see well, has no mouse or holds a phone uses the page of an archive too."""

from dataclasses import replace
from pathlib import Path

import pages
import pytest
import torch
from browser import Tab

ROLES = {"button", "slider", "checkbox", "combobox", "application", "image", "textbox", "link", "disclosuretriangle"}
LEAST = {"text": 4.5, "large": 3.0}  # contrast, WCAG 2.2 AA

CONTRASTS = """(() => {
  const parse = (text) => { const v = text.match(/[\\d.]+/g).map(Number); return v.length > 3 ? v : [...v, 1]; };
  const shade = (c) => { const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c[3] === 1) return c; } return [255, 255, 255]; };
  const found = [];
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest("script, :disabled, option")) continue;
    const style = getComputedStyle(e), svg = e instanceof SVGElement;
    const a = shade(parse(svg ? style.fill : style.color)), b = shade(behind(e));
    const large = parseFloat(style.fontSize) >= 24;
    found.push([e.textContent.trim().slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), large]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of two archives that have a curve both, and the second another."""
    first, (second, played) = (pages.shown(name, pages.cvt(), n) for name, n in (("first", 3), ("second", 5)))
    coverage = torch.arange(3).numpy(), torch.tensor([0.0, 0.25, 0.5]).numpy()
    second = replace(second, curves=second.curves | {"coverage": coverage})
    return pages.write(tmp_path_factory.mktemp("page") / "archive.html", first, (second, played))


def test_every_control_has_a_name_and_a_value(tab: Tab, path: Path) -> None:
    tab.open(path)
    nodes = tab.send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node for node in nodes if node.get("role", {}).get("value", "").lower() in ROLES and not node["ignored"]
    ]
    names = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in controls]
    assert len(names) > 12 and all(name for _, name in names), names
    labels = [name for role, name in names if role == "button"]
    assert len(set(labels)) == len(labels)
    sliders = [node for node in controls if node["role"]["value"] == "slider"]
    assert all(node.get("value", {}).get("value") not in (None, "") for node in sliders)


def test_what_it_is_made_of(tab: Tab, path: Path) -> None:
    tab.open(path)
    assert tab.run("document.documentElement.lang") == "en"
    assert tab.run("document.querySelectorAll('h1').length") == 1
    assert tab.run("document.querySelectorAll('main').length") == 1
    assert tab.run("[...document.querySelectorAll('[id]')].length") == tab.run(
        "new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"
    )
    canvases = tab.run("""[...document.querySelectorAll('canvas')].map(e => [e.tabIndex, e.getAttribute('aria-label'),
        document.getElementById(e.getAttribute('aria-describedby')).textContent.includes('arrows')])""")
    assert len(canvases) == 4 and all(index == 0 and label and keys for index, label, keys in canvases)
    assert tab.run("document.querySelector('[role=status]').getAttribute('aria-live')") == "polite"
    table = tab.run("[...document.querySelectorAll('th')].map(e => e.scope)")
    assert set(table) == {"col", "row"}


def test_lines_are_told_apart_by_more_than_colour(tab: Tab, path: Path) -> None:
    tab.open(path)
    score, coverage = tab.run("""[...document.querySelectorAll('.chart')].map(chart => {
        const style = e => [getComputedStyle(e).stroke, getComputedStyle(e).strokeDasharray];
        return [[...chart.querySelectorAll('polyline')].map(style),
            [...chart.querySelectorAll('.told')].map(e => [e.textContent, style(e.querySelector('.line'))])]; })""")
    (first, second), told = score
    assert first[0] != second[0] and first[1] != second[1]
    assert told == [["first 5", first], ["second 5", second]]
    assert coverage == [[second], [["second 0.500", second]]]
    labels = tab.run("[...document.querySelectorAll('.chart > svg')].map(e => e.getAttribute('aria-label'))")
    assert labels[0] == "QD score against environment steps; at the end: first 5, second 5"
    assert tab.run("""[...document.querySelectorAll('.chart > svg')].every(
        e => [...e.querySelectorAll('text')].some(each => each.textContent === 'environment steps'))""")
    x, y = tab.run("""(e => { e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();
        return [b.left + b.width / 2, b.top + b.height / 2]; })(document.querySelector('.chart > svg'))""")
    tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert tab.run("document.querySelector('.chart .value').textContent") == "first 2, second 2"
    assert "1 steps" in tab.run("document.querySelector('.chart > svg').textContent")
    assert tab.run("document.querySelectorAll('.chart .told .line').length") == 3


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("by_button", [False, True], ids=["system", "button"])
def test_text_stands_out_in_light_and_dark(tab: Tab, path: Path, dark: bool, by_button: bool) -> None:
    tab.open(path, dark=dark != by_button)
    if by_button:
        tab.run("document.querySelector('#theme').click()")
    tab.run("document.querySelector('details').open = true")
    sky = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (int(sky[4:].split(",")[0]) < 60) is dark
    texts = tab.run(CONTRASTS)
    assert len(texts) > 30
    assert not [each for each in texts if each[1] < LEAST["large" if each[2] else "text"]]


def test_focus_goes_everywhere_and_is_seen(tab: Tab, path: Path) -> None:
    tab.open(path)
    seen = []
    for _ in range(30):
        tab.key("Tab")
        told = tab.run("""(() => { const e = document.activeElement, s = getComputedStyle(e), name = e.id ||
            e.getAttribute('aria-label') || e.tagName;
            return [name, s.outlineStyle, parseFloat(s.outlineWidth)]; })()""")
        if told[0] in ("BODY", seen[0][0] if seen else None):
            break
        seen.append(told)
    names = {name for name, _, _ in seen}
    assert {"theme", "play", "time", "speed", "loop", "follow", "home", "add", "fill", "history", "SUMMARY"} <= names
    assert sum("Viewer" in name and "Close" not in name for name in names) == 2
    assert all(style != "none" and width >= 2 for _, style, width in seen)


def test_keys_turn_and_zoom_the_view(tab: Tab, path: Path) -> None:
    tab.open(path)
    tab.run("document.querySelector('.viewer canvas').focus()")
    home = tab.run("(c => [c.azimuth, c.elevation, c.distance])(empower.page.scene.camera)")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        tab.key(key)
    turned = tab.run("(c => [c.azimuth, c.elevation, c.distance])(empower.page.scene.camera)")
    assert turned[0] > home[0] and turned[1] > home[1] and turned[2] < home[2]
    tab.key("Home")
    assert tab.run("(c => [c.azimuth, c.elevation, c.distance])(empower.page.scene.camera)") == home


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_fits_a_phone(tab: Tab, path: Path, width: int) -> None:
    tab.open(path, width=width, height=844, phone=width < 700)
    assert tab.run("document.documentElement.scrollWidth") <= width
    if width >= 700:
        return
    small = tab.run("""[...document.querySelectorAll('button, select')].filter(e => e.checkVisibility())
        .map(e => e.getBoundingClientRect()).filter(b => b.width < 24 || b.height < 24).length""")
    assert small == 0
    x, y, cell = tab.run("""(() => { const m = empower.page.maps[0], c = m.canvas;
        c.scrollIntoView({block: 'end'}); const b = c.getBoundingClientRect();
        const cell = [...m.middles.keys()].find(k => m.data.index.has(k) && k !== empower.poses()[0].cell);
        const [u, v] = m.middles.get(cell); return [b.left + u / m.ratio, b.top + v / m.ratio, cell]; })()""")
    touch = {"x": x, "y": y}
    tab.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[touch])
    tab.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tab.wait(f"empower.poses().some(p => p.cell === {cell} && p.map === 0)")
    shown = tab.run("document.querySelector('.viewer canvas').getBoundingClientRect().top")
    assert 0 <= shown < 200  # what plays stays in sight of the map
    assert tab.complaints == []


def test_moves_only_when_asked_where_motion_is_unwelcome(tab: Tab, path: Path) -> None:
    tab.open(path)
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    tab.send("Page.reload")
    tab.wait("window.empower && document.readyState === 'complete'")
    assert tab.run("empower.page.playing") is False
