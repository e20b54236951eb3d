"""The explorable page, as a reader with a keyboard uses it; its numbers are those of a run in Python."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="comes with the extra toy")
pytest.importorskip("matplotlib", reason="comes with the extra toy")
pytest.importorskip("selenium", reason="comes with the extra browser")
from matplotlib.figure import Figure
from mistakes import MISTAKES
from packing import HALF_WIDTH, SIDE, place
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from sweep import Sweep, follow

import kds_ref
from toy.experiment import run_method
from toy.figure import GRID_POINTS, MASSES, contour_levels
from toy.mixture import three_modes
from toy.settings import Settings
from toy.statistics import ensemble_statistics

PHONE, DESKTOP = (360, 740), (1280, 900)
SWEEP = Sweep()
CIRCLES = """
return [...document.querySelectorAll(`[data-part="${arguments[0]}"] .kds-dots circle`)]
  .map((dot) => [Number(dot.getAttribute('cx')), Number(dot.getAttribute('cy'))])"""
ESTIMATE = """
return [...document.querySelectorAll('[data-part="kds"] .kds-estimate')].map((path) => path.getAttribute('d'))"""
DENSITY = """
const { density, levels } = window.kdsContours;
const values = density(arguments[0], arguments[1], arguments[2]);
return [Array.from(values), levels(values, arguments[3])]"""
LINES = """
return [...document.querySelectorAll('[data-part="kds"] .kds-seen line')]
  .map((line) => ['x1', 'y1', 'x2', 'y2'].map((name) => Number(line.getAttribute(name))))"""


class Reader:
    """What one can do with the page, by keyboard, and what one sees."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def move(self, name: str, value: float) -> None:
        """Put a slider to a value: Home, then the right arrow."""
        values = {"bandwidth": SWEEP.bandwidths, "strength": SWEEP.strengths, "particles": SWEEP.n_particles}
        index = value if name == "frame" else values[name].index(value)
        slider = self.browser.find_element(By.NAME, name)
        slider.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * index)
        assert int(slider.get_attribute("value")) == index

    def steer_down_to(self, cutoff: float) -> None:
        index = SWEEP.cutoffs.index(cutoff)
        self.browser.find_element(By.CSS_SELECTOR, f"input[name=cutoff][value='{index}']").send_keys(Keys.SPACE)

    def text(self, part: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, f"[data-part='{part}']").text

    def numbers(self, method: str) -> tuple[str, str, str]:
        return tuple(self.text(f"{method}-{name}") for name in ("variance", "shares", "effective"))

    def points(self, method: str) -> np.ndarray:
        return np.asarray(self.browser.execute_script(CIRCLES, method))

    def colour(self, selector: str, what: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, selector).value_of_css_property(what)


@pytest.fixture
def reader(browser: Any, address: str) -> Reader:
    """On the result; by itself the page opens before it."""
    browser.get(address + "explorable/?t=0.00")
    browser.execute_script("localStorage.clear()")  # where the site keeps the scheme
    browser.refresh()
    return Reader(browser)


def expected(n: int, h: float, strength: float, cutoff: float | None) -> tuple[np.ndarray, tuple[str, str]]:
    """Result, variance and shares by the other way to run the toy, the one of `python -m toy`."""
    settings = Settings(n_seeds=1, n_particles=n, bandwidth=h, strength=strength)
    x = run_method(three_modes(), settings, cutoff=cutoff).snapshots[-1].x
    values = ensemble_statistics(x, three_modes())
    shares = " / ".join(f"{100 * share:.0f}" for share in values["mode_shares"][0])
    return x[0], (f"{values['within_mode_variance'][0]:.3f}", shares)


def test_the_data_is_of_the_whole_sweep_and_small(site: Path) -> None:
    script = (site / "generated" / "explorable" / "data.js").read_text(encoding="ascii")
    settings = json.loads(script.split(" = ", 1)[1].rstrip(";\n"))["settings"]
    assert {name: settings[name] for name in asdict(SWEEP)} == json.loads(json.dumps(asdict(SWEEP)))
    assert len(script) < 700_000


@pytest.mark.parametrize(
    ("n", "h", "strength", "cutoff"),
    [(50, 0.3, 0.3, 0.3), (50, 2.0, 1.0, 0.0), (10, 0.05, 0.6, 0.0), (5, 0.5, 0.1, 0.3), (20, 1.0, 1.0, 0.3)],
)
def test_the_result_is_that_of_a_run(reader: Reader, n: int, h: float, strength: float, cutoff: float) -> None:
    reader.move("particles", n)
    reader.move("bandwidth", h)
    reader.move("strength", strength)
    reader.steer_down_to(cutoff)
    ways = {"ddim": follow(three_modes(), SWEEP, n_particles=n)}
    ways["kds"] = follow(three_modes(), SWEEP, n_particles=n, strength=strength, cutoff=cutoff)
    b = SWEEP.bandwidths.index(h)
    for method, way in ways.items():
        x, numbers = expected(n, h, strength, None if method == "ddim" else cutoff)
        assert np.abs(reader.points(method) - place(x)).max() <= 1  # one of 4096: rounding
        assert reader.numbers(method) == (*numbers, f"{way.effective_particles[-1, b]:.1f}")


def test_it_opens_before_the_result(browser: Any, address: str) -> None:
    browser.get(address + "explorable/")
    assert Reader(browser).text("moment") == "t/T = 1.00"


def test_the_address_holds_the_settings(reader: Reader, address: str) -> None:
    reader.move("particles", 20)
    reader.move("bandwidth", 0.5)
    reader.move("strength", 0.6)
    reader.steer_down_to(0.3)
    reader.move("frame", 20)
    here, points = reader.browser.current_url, reader.points("kds")
    reader.browser.get("about:blank")
    reader.browser.get(here)
    assert len(points) == 20
    assert np.array_equal(reader.points("kds"), points)
    assert not reader.browser.find_elements(By.TAG_NAME, "mark"), "the search takes a setting for its own"
    reader.browser.get(address + "explorable/?bandwidth=7&t=nonsense&wrong=9")  # what is not offered is left as it was
    assert reader.text("bandwidth-value") == "0.3"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_wrong_implementation_is_that_of_python(reader: Reader, number: int) -> None:
    choice = reader.browser.find_element(By.CSS_SELECTOR, f"input[name=implementation][value='{number}']")
    choice.send_keys(Keys.SPACE)
    WebDriverWait(reader.browser, 30).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".kds-wrong"))
    name = list(MISTAKES)[number - 1]
    way = follow(three_modes(), SWEEP, n_particles=50, strength=0.3, cutoff=0.0, mistake=name)
    x = np.clip(way.x[-1, SWEEP.bandwidths.index(0.3)], -HALF_WIDTH, HALF_WIDTH)
    assert np.abs(reader.points("kds") - place(x)).max() <= 1
    assert not reader.browser.find_element(By.NAME, "strength").is_enabled()


def test_what_kds_sees_is_that_of_python(reader: Reader) -> None:
    reader.browser.find_element(By.CSS_SELECTOR, "[data-part=sees]").send_keys(Keys.SPACE)
    WebDriverWait(reader.browser, 30).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".kds-seen line"))
    reader.move("frame", 12)
    way = follow(three_modes(), SWEEP, n_particles=50, strength=0.3, cutoff=0.0)
    b = SWEEP.bandwidths.index(0.3)
    drawn = np.asarray(reader.browser.execute_script(LINES))
    assert np.abs(drawn[:, :2] - place(way.clean[12, b])).max() <= 1
    assert np.abs(drawn[:, 2:] - place(way.shifted[12, b])).max() <= 1
    assert np.abs(drawn[:, 2:] - drawn[:, :2]).max() > 50


def grid_density(points: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """The grid of the page's contours, along a side, and the core's density there; all in units of the picture."""
    ticks = np.linspace(0.0, SIDE - 1, GRID_POINTS)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    return ticks, np.exp(kds_ref.log_density(grid, points, bandwidth=h)).reshape(GRID_POINTS, GRID_POINTS)


@pytest.mark.parametrize(("n", "h"), [(1, 34.0), (5, 205.0), (50, 1365.0)])
def test_the_density_of_the_contours_is_that_of_the_core(reader: Reader, n: int, h: float) -> None:
    points = np.random.default_rng(n).uniform(0.0, SIDE - 1, (n, 2))
    values, levels = reader.browser.execute_script(DENSITY, points.tolist(), h, SIDE, list(MASSES))
    _, wanted = grid_density(points, h)
    np.testing.assert_allclose(values, wanted.ravel(), rtol=1e-9, atol=1e-30)
    np.testing.assert_allclose(levels, contour_levels(wanted), rtol=1e-9)


@pytest.mark.parametrize(("h", "frame"), [(0.3, 12), (0.1, 24), (2.0, 0)])
def test_the_contours_are_those_of_the_density(reader: Reader, h: float, frame: int) -> None:
    """Every end of a line lies at its level, and a contour is as long as Matplotlib's."""
    reader.move("bandwidth", h)
    reader.browser.find_element(By.CSS_SELECTOR, "[data-part=sees]").send_keys(Keys.SPACE)
    WebDriverWait(reader.browser, 30).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".kds-seen line"))
    reader.move("frame", frame)
    way = follow(three_modes(), SWEEP, n_particles=50, strength=0.3, cutoff=0.0)
    points = place(way.clean[frame, SWEEP.bandwidths.index(h)]).astype(float)
    scale = (SIDE - 1) / (2 * HALF_WIDTH)
    ticks, density = grid_density(points, h * scale)

    for path, level in zip(reader.browser.execute_script(ESTIMATE), contour_levels(density), strict=True):
        lines = np.array(re.findall(r"[\d]+", path), dtype=float).reshape(-1, 2, 2)
        ends = lines.reshape(-1, 2)
        heights = np.exp(kds_ref.log_density(ends, points, bandwidth=h * scale))
        assert np.abs(heights - level).max() < 0.04 * density.max()
        drawn = Figure().subplots().contour(ticks, ticks, density, levels=[level]).get_paths()[0]
        outlines = drawn.to_polygons(closed_only=False)
        length = sum(np.linalg.norm(np.diff(outline, axis=0), axis=1).sum() for outline in outlines)
        assert np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1).sum() == pytest.approx(length, rel=0.01)


def test_contours_leave_with_the_switch(reader: Reader) -> None:
    assert not any(reader.browser.execute_script(ESTIMATE))
    sees = reader.browser.find_element(By.CSS_SELECTOR, "[data-part=sees]")
    sees.send_keys(Keys.SPACE)
    WebDriverWait(reader.browser, 30).until(lambda b: all(b.execute_script(ESTIMATE)))
    sees.send_keys(Keys.SPACE)
    assert not any(reader.browser.execute_script(ESTIMATE))


def test_time_moves_by_keyboard(reader: Reader) -> None:
    way = follow(three_modes(), SWEEP, n_particles=50, strength=0.3, cutoff=0.0)
    b = SWEEP.bandwidths.index(0.3)
    seen = []
    for frame in (0, 12, SWEEP.steered(0.3).index(False)):
        reader.move("frame", frame)
        seen.append(reader.points("kds"))
        assert np.abs(seen[-1] - place(way.x[frame, b])).max() <= 1
        assert reader.numbers("kds")[0] == f"{way.variance[frame, b]:.3f}"
        assert reader.text("moment") == f"t/T = {SWEEP.fractions()[frame]:.2f}"
    assert np.abs(seen[0] - seen[1]).max() > 100
    assert np.abs(seen[1] - seen[2]).max() > 100


def test_the_status_says_when_steering_stops(reader: Reader) -> None:
    stop = SWEEP.steered(0.3).index(False)
    reader.steer_down_to(0.3)
    reader.move("frame", stop - 1)
    assert reader.text("status") == "steering"
    reader.move("frame", stop)
    assert reader.text("status") == "not steering"
    reader.steer_down_to(0.0)
    assert reader.text("status") == "steering"
    reader.move("strength", 0.0)
    assert reader.text("status") == "not steering"


def test_play_and_pause(reader: Reader) -> None:
    play = reader.browser.find_element(By.CSS_SELECTOR, "[data-part=play]")
    frame = reader.browser.find_element(By.NAME, "frame")
    play.send_keys(Keys.ENTER)
    assert play.text == "Pause"
    WebDriverWait(reader.browser, 30).until(lambda _: int(frame.get_attribute("value")) >= 2)
    play.send_keys(Keys.ENTER)
    assert play.text == "Play"
    value = frame.get_attribute("value")
    reader.browser.execute_async_script("setTimeout(arguments[0], 600)")
    assert frame.get_attribute("value") == value
    play.send_keys(Keys.ENTER)
    WebDriverWait(reader.browser, 60).until(lambda _: play.text == "Play")
    assert int(frame.get_attribute("value")) == len(SWEEP.fractions()) - 1


def test_the_numbers_are_spoken_when_the_reader_rests(reader: Reader) -> None:
    reader.move("strength", 1.0)
    live = reader.browser.find_element(By.CSS_SELECTOR, "[aria-live=polite][data-part=live]")
    WebDriverWait(reader.browser, 10).until(lambda _: live.get_attribute("textContent"))
    for method in ("ddim", "kds"):
        for number in reader.numbers(method):
            assert number in live.get_attribute("textContent")
    for part in ("ddim", "kds", "chart"):
        assert reader.browser.find_element(By.CSS_SELECTOR, f"[data-part={part}]").get_attribute("aria-label")
    slider = reader.browser.find_element(By.NAME, "strength")
    assert slider.get_attribute("aria-valuetext") == reader.text("strength-value") == "1"
    assert slider.accessible_name.startswith("strength")


def test_the_buttons_of_the_text_set_what_they_say(reader: Reader) -> None:
    buttons = reader.browser.find_elements(By.CSS_SELECTOR, "button[data-kds]")
    assert len(buttons) == 3
    for button in buttons:
        wanted = json.loads(button.get_attribute("data-kds"))
        button.send_keys(Keys.ENTER)
        for name in ("particles", "bandwidth", "strength"):
            assert float(reader.text(f"{name}-value")) == wanted[name]
        chosen = reader.browser.find_element(By.CSS_SELECTOR, "input[name=cutoff]:checked")
        assert SWEEP.cutoffs[int(chosen.get_attribute("value"))] == wanted["cutoff"]


def test_colours_follow_the_toggle_of_the_site(reader: Reader) -> None:
    places = ((".kds-panels svg", "background-color"), (".kds-dots circle", "fill"), (".kds-level-2", "fill"))
    light = [reader.colour(*place) for place in places]
    toggle = reader.browser.find_element(By.CSS_SELECTOR, "label[title='Switch to the dark scheme']")
    WebDriverWait(reader.browser, 10).until(lambda _: toggle.is_displayed())  # a script of the site shows it
    toggle.click()
    dark = [reader.colour(*place) for place in places]
    reader.browser.execute_script("localStorage.clear()")  # where the site keeps the choice
    assert all(one != other for one, other in zip(light, dark, strict=True))
    brightness = [sum(map(float, re.findall(r"[\d.]+", colours[0])[:3])) for colours in (light, dark)]
    assert brightness[0] > 600
    assert brightness[1] < 150


def test_it_fits_a_phone(reader: Reader, screen: Callable[..., None]) -> None:
    screen(reader.browser, PHONE)
    too_wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert reader.browser.execute_script(too_wide) == 0
    left, right = (reader.browser.find_element(By.CSS_SELECTOR, f"[data-part={name}]").rect for name in ("ddim", "kds"))
    assert left["y"] == right["y"], "the two are not side by side"
    assert left["width"] > 140
    assert right["x"] + right["width"] <= PHONE[0]


@pytest.fixture(scope="module")
def calm_browser(start_browser: Callable[..., Any]) -> Any:
    return start_browser("--force-prefers-reduced-motion")


def test_less_motion_gets_stills(calm_browser: Any, address: str) -> None:
    calm_browser.get(address + "explorable/")
    calm_browser.find_element(By.CSS_SELECTOR, "[data-part=play]").send_keys(Keys.ENTER)
    frame = calm_browser.find_element(By.NAME, "frame")
    seen = {frame.get_attribute("value")}

    def three_seen(_: Any) -> bool:
        seen.add(frame.get_attribute("value"))
        return len(seen) == 3

    WebDriverWait(calm_browser, 30, poll_frequency=0.1).until(three_seen)
    whole = len(SWEEP.fractions()) - 1
    assert sorted(map(int, seen)) == [0, -(-whole // 5), 2 * -(-whole // 5)]


def test_it_works_from_a_folder_without_a_server(start_browser: Callable[..., Any], site: Path) -> None:
    browser = start_browser()
    browser.get((site / "explorable" / "index.html").as_uri())
    reader = Reader(browser)
    reader.move("strength", 0.0)
    assert np.array_equal(reader.points("kds"), reader.points("ddim"))
    assert len(reader.points("ddim")) == 50
