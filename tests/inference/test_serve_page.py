"""The page in a real browser: a clip is dropped, its verdict read, its report opened."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avkd.data.media.writing import write_video

pytest.importorskip("fastapi", reason="fastapi is not installed (pip install 'avkd[serve]')")
webdriver = pytest.importorskip(
    "selenium.webdriver", reason="selenium is not installed (pip install 'avkd[dev]')"
)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="chromium and chromedriver are not installed (apt-get install chromium-driver)",
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "avkd", "serve", "--port", str(port), "--threads", "1"]
    command += ["--model", "starter-fast", "--detector", "none", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("http://"):
            break
    else:
        raise AssertionError("the server did not start")
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.communicate(timeout=30)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[object]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def wait(condition, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it never came")


def test_a_clip_is_dropped_judged_and_reported(server: str, browser, tmp_path: Path) -> None:
    clip = tmp_path / "a clip.mp4"
    draw = np.random.default_rng(0)
    write_video(clip, draw.integers(0, 255, (40, 96, 96, 3), dtype=np.uint8))
    browser.get(server)
    by_id = lambda name: browser.find_element("id", name)  # noqa: E731
    wait(lambda: "forgeries" in browser.find_element("tag name", "header").text)
    by_id("file").send_keys(str(clip))
    verdict = wait(lambda: by_id("verdict").text)
    assert verdict.startswith(("REAL", "FAKE", "UNCERTAIN")) and "P(fake)" in verdict
    assert by_id("job-title").text == "a clip.mp4"
    assert by_id("timeline").is_displayed() and by_id("video").is_displayed()

    # The timeline by keyboard moves the player, and says where it is.
    wait(lambda: browser.execute_script("return document.getElementById('video').readyState > 0"))
    by_id("curve").send_keys("\ue014\ue014")  # arrow right, twice
    wait(lambda: by_id("curve").get_attribute("aria-valuenow") == "0.40")

    by_id("language").click()
    assert by_id("delete").text == "삭제"
    assert browser.execute_script("return document.documentElement.lang") == "ko"
    by_id("language").click()

    page = browser.current_window_handle
    by_id("report").click()
    wait(lambda: len(browser.window_handles) == 2)
    browser.switch_to.window(next(h for h in browser.window_handles if h != page))
    wait(lambda: "Verdicts of avkd" in browser.page_source and "a clip.mp4" in browser.page_source)
    browser.switch_to.window(page)

    by_id("delete").click()
    wait(lambda: by_id("progress").text == "Deleted.")
    errors = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert not errors, errors  # no script or policy complained


def test_the_page_fits_a_phone(server: str, browser) -> None:
    browser.set_window_size(390, 800)
    browser.get(server)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= browser.execute_script("return window.innerWidth")
