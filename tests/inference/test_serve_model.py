"""`serve`: where the page is served; and in headless Chromium, that its controls work on wide and narrow screens."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from lightning_gan.inference.serve_model import check_free, serve
from lightning_gan.models import IntroVAE, StyleGAN
from tests.inference.trained import saved_run

ROOT = Path(__file__).parent.parent.parent
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_address_that_cannot_be_used_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"cannot be served at 127\.0\.0\.1, port {port} .* give another --port"):
            check_free("127.0.0.1", port)
    with pytest.raises(ValueError, match="port=0 must be from 1 to 65535"):
        check_free("127.0.0.1", 0)
    with pytest.raises(ValueError, match=r"cannot be served at 192\.0\.2\.1"):  # an address of examples
        check_free("192.0.2.1", free_port())


def test_a_missing_package_is_named_before_the_checkpoint_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_gan.inference.serve_model.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="nicegui"):
        serve("runs/nothing")


# ------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of two pages, of a model with styles and of one with an encoder."""
    pytest.importorskip("nicegui", reason="the page needs nicegui")
    pytest.importorskip("selenium", reason="the browser is driven by selenium")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium or chromedriver is not installed")
    folder = tmp_path_factory.mktemp("served")
    started, addresses = [], {}
    for kind, classes in ((StyleGAN, ["cat", "dog", "bird"]), (IntroVAE, None)):
        run, port = saved_run(kind, folder / kind.__name__, classes=classes), free_port()
        command = [sys.executable, str(ROOT / "cli.py"), "serve", str(run), "--port", str(port), "--device", "cpu"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST")}
        with (folder / f"{kind.__name__}.log").open("w") as log:
            started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
        addresses[kind.__name__] = f"http://127.0.0.1:{port}"
    try:
        for address, process in zip(addresses.values(), started, strict=True):
            wait_for(address, process)
        yield addresses
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1200):
        assert process.poll() is None, "the page ended"
        try:
            with urlopen(address, timeout=10):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.25)
    raise AssertionError("the page did not come")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "window-size=1280,900",
        f"user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(f"--{flag}")
    driver = Chrome(options=options, service=ChromeService(executable_path=str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def until(found: Callable[[], Any]) -> Any:
    """The result of a function when it is true."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.1)
    raise AssertionError("it did not come to be true in a minute")


def sources(browser: Any) -> list[str]:
    """The addresses of all images; none while one of them is not loaded."""
    script = "return [...document.querySelectorAll('img')].map(i => [i.src, i.complete && i.naturalWidth > 0])"
    found = browser.execute_script(script)
    return [source for source, _ in found] if all(loaded for _, loaded in found) else []


def count_of(browser: Any, part: str) -> int:
    return len([source for source in sources(browser) if part in source])


def text_of(browser: Any, selector: str = "body") -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0]).innerText", selector))


def tabs(browser: Any) -> list[str]:
    names = browser.execute_script("return [...document.querySelectorAll('.q-tab')].map(t => t.innerText.trim())")
    return list(names)


def open_tab(browser: Any, name: str) -> None:
    script = "for (const t of document.querySelectorAll('.q-tab')) if (t.innerText.trim() === arguments[0]) t.click()"
    browser.execute_script(script, name)


@pytest.mark.slow
def test_a_page_of_a_model_with_styles(pages: dict[str, str], browser: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(pages["StyleGAN"])
    until(lambda: count_of(browser, "sample.png") == 16)
    assert sources(browser)[3].endswith("/image/sample.png?seed=3")
    assert tabs(browser) == ["Samples", "Interpolation", "Style mixing"]
    assert "seed 4\nclass 1 dog" in text_of(browser) and "Truncation 1.00" in text_of(browser)
    seed = browser.find_element(By.CSS_SELECTOR, "input[aria-label='First seed']")
    seed.send_keys(Keys.CONTROL, "a")
    seed.send_keys("100")
    until(lambda: sources(browser)[:1] == [f"{pages['StyleGAN']}/image/sample.png?seed=100"])
    browser.execute_script("document.querySelector('figure').click()")
    command = until(lambda: re.search(r"^lightning-gan generate .*$", text_of(browser), flags=re.MULTILINE))[0]
    assert command.endswith("StyleGAN --seeds 100")
    browser.execute_script("document.querySelector('.q-dialog button').click()")
    until(lambda: not browser.find_elements(By.CSS_SELECTOR, ".q-dialog"))
    browser.execute_script("document.querySelector('.q-slider [tabindex]').focus()")
    ActionChains(browser).send_keys(Keys.ARROW_LEFT).perform()
    until(lambda: sources(browser)[:1] == [f"{pages['StyleGAN']}/image/sample.png?seed=100&truncation=0.95"])
    open_tab(browser, "Interpolation")
    until(lambda: count_of(browser, "between.png") == 8)
    open_tab(browser, "Style mixing")
    until(lambda: count_of(browser, "mixed.png") == 3)
    assert "Layers 0 to 3 of 0 to 5 (4x4 to 8x8) have the styles of B" in text_of(browser)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(width: int, pages: dict[str, str], browser: Any) -> None:
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for address in pages.values():
        browser.get(address)
        until(lambda: count_of(browser, "sample.png") >= 16 - 10 * (width < 500))
        for name in tabs(browser):
            open_tab(browser, name)
            time.sleep(1)
            wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
            assert wide <= shown == width


@pytest.mark.slow
def test_a_page_of_a_model_with_an_encoder(pages: dict[str, str], browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    def upload(path: Path) -> None:
        until(lambda: browser.find_elements(By.CSS_SELECTOR, "input[type=file]"))[0].send_keys(str(path))

    browser.get(pages["IntroVAE"])
    until(lambda: count_of(browser, "sample.png") == 16)
    assert tabs(browser) == ["Samples", "Interpolation", "Reconstruction"]
    assert "Truncation" not in text_of(browser) and "Class" not in text_of(browser)
    open_tab(browser, "Reconstruction")
    Image.fromarray(np.full((20, 30, 3), 90, dtype=np.uint8)).save(tmp_path / "gray.png")
    upload(tmp_path / "gray.png")
    until(lambda: count_of(browser, "data:image/png") == 2)
    assert "gray.png" in text_of(browser) and "of 255 levels" in text_of(browser)
    (tmp_path / "text.png").write_text("no image")
    upload(tmp_path / "text.png")
    until(lambda: "text.png cannot be read as an image" in text_of(browser))


@pytest.mark.slow
def test_a_page_loads_nothing_from_elsewhere_and_answers_to_its_own_name_alone(
    pages: dict[str, str], browser: Any
) -> None:
    address = pages["StyleGAN"]
    browser.get(address)
    until(lambda: count_of(browser, "sample.png") == 16)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert len(loaded) > 10 and [name for name in loaded if not name.startswith(address)] == []
    with pytest.raises(HTTPError, match="400"):  # a page of someone else that gives this address its own name
        urlopen(Request(address, headers={"Host": "elsewhere.example"}), timeout=60)
    with pytest.raises(HTTPError, match="422"):
        urlopen(f"{address}/image/sample.png?seed=-1", timeout=60)
    with urlopen(f"{address}/image/sample.png?seed=1", timeout=60) as answer:
        assert answer.headers["Content-Type"] == "image/png"
