"""The page in a real browser: it plays, pauses, scrubs, orbits and seeks, fetches nothing and complains of nothing.

Debian's Chromium is driven through its DevTools protocol. ``LIFTPOSE_BROWSER`` names another Chromium or Chrome.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liftpose.data import Recording
from liftpose.formats.picture_predictions import PicturePredictions
from liftpose.skeletons import COCO_17, COCO_18, H36M_17
from liftpose.viewer.page import write_page
from liftpose.viewer.pictures import picture_scene
from liftpose.viewer.scene import Scene, build_scene

sync_client = pytest.importorskip("websockets.sync.client", reason="the package websockets, which drives the browser")

BROWSER = shutil.which(os.environ.get("LIFTPOSE_BROWSER", "chromium"))
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--mute-audio"),
)
DESKTOP, PHONE = (1280, 800), (390, 844)
FRAMES, FPS = 21, 10.0
HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
PATIENCE = 60

pytestmark = pytest.mark.skipif(
    BROWSER is None,
    reason="no Chromium here: the page is tried in a browser where one is installed (Debian: apt-get install chromium)",
)


class Browser:
    """A headless browser with one tab, driven over its debugging socket."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [str(BROWSER), *QUIET, f"--user-data-dir={home}", "--remote-debugging-port=0", "about:blank"],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        port, path = self._address()
        self.stack = ExitStack()
        address = f"ws://127.0.0.1:{port}{path}"
        self.socket = self.stack.enter_context(sync_client.connect(address, max_size=None, proxy=None))
        self.count = 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def _address(self) -> tuple[str, str]:
        file, end = self.home / "DevToolsActivePort", time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            if file.exists() and len(lines := file.read_text().split()) == 2:
                return lines[0], lines[1]
            time.sleep(0.05)
        raise RuntimeError("the browser did not start")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv(timeout=PATIENCE))
            if answer.get("id") == self.count:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def evaluate(self, expression: str) -> Any:
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, page: Path, size: tuple[int, int] = DESKTOP, dark: bool = False) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        self.send("Emulation.setTouchEmulationEnabled", enabled=size == PHONE)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.send("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete' && document.getElementById('frame').textContent !== ''")
        self.settle()

    def wait(self, condition: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"waited in vain for {condition}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait until what was asked for is on the canvases."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code="Space" if key == " " else key)
        self.settle()

    def point(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **{"button": "left", "clickCount": 1} | more)

    def click(self, name: str, across: float = 0.5, down: float = 0.5) -> None:
        x, y = self.place(name, across, down)
        self.point("mousePressed", x, y, buttons=1)
        self.point("mouseReleased", x, y)
        self.settle()

    def place(self, name: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        box = self.evaluate(f"(({{x, y, width, height}}) => [x, y, width, height])({name}.getBoundingClientRect())")
        return box[0] + across * box[2], box[1] + down * box[3]

    def drag(self, name: str, dx: float, dy: float) -> None:
        x, y = self.place(name)
        self.point("mousePressed", x, y, buttons=1)
        self.point("mouseMoved", x + dx / 2, y + dy / 2, buttons=1)
        self.point("mouseMoved", x + dx, y + dy, buttons=1)
        self.point("mouseReleased", x + dx, y + dy)
        self.settle()

    def pixels(self, canvas: str) -> str:
        return str(self.evaluate(f"{canvas}.toDataURL()"))

    def frame(self) -> int:
        return int(self.evaluate("Number(scrub.value)"))

    def complaints(self) -> list[dict[str, Any]]:
        self.evaluate("1")
        return [
            event
            for event in self.events
            if event["method"] in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
        ]

    def requests(self) -> list[str]:
        self.evaluate("1")
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, path: Path) -> None:
        picture = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(picture))

    def close(self) -> None:
        try:
            self.session = None
            self.send("Browser.close")
            self.process.wait(20)
            self.stack.close()
        except (OSError, RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    running = Browser(tmp_path_factory.mktemp("browser"))
    yield running
    running.close()


def scene_of(
    motion: NDArray[np.float64], keypoints: NDArray[np.float64], action: str = "Walking 1", truth: bool = True
) -> Scene:
    recording = Recording("S9", action, 2, H36M_17, FPS, keypoints.astype(np.float32))
    scene = build_scene(recording, motion)
    if not truth or scene.prediction is None:
        return scene
    fields = {**vars(scene), "truth": scene.prediction + 0.03, "errors_mm": np.linspace(20, 80, FRAMES)}
    return Scene(**fields)


@pytest.fixture
def page(motion: NDArray[np.float64], keypoints: NDArray[np.float64], tmp_path: Path) -> Path:
    write_page(tmp_path / "page.html", scene_of(motion, keypoints))
    return tmp_path / "page.html"


def test_it_plays_pauses_and_plays_to_the_end(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.frame() == 0
    assert "S9, Walking 1, camera 2" == browser.evaluate("document.title") == browser.evaluate("title.textContent")
    before = [browser.pixels(canvas) for canvas in ("space", "flat", "curve")]
    browser.evaluate("speed.value = '0.25'; speed.dispatchEvent(new Event('change'))")
    browser.click("play")
    assert browser.evaluate("play.getAttribute('aria-label')") == "Pause"
    browser.wait("Number(scrub.value) >= 3")
    browser.press(" ")
    assert browser.evaluate("play.getAttribute('aria-label')") == "Play"
    stopped = browser.frame()
    assert stopped >= 3
    after = [browser.pixels(canvas) for canvas in ("space", "flat", "curve")]
    assert all(one != other for one, other in zip(before, after, strict=True))
    time.sleep(0.3)
    assert browser.frame() == stopped
    browser.click("loop")
    browser.evaluate("speed.value = '4'; speed.dispatchEvent(new Event('change'))")
    browser.click("play")
    browser.wait("play.getAttribute('aria-label') === 'Play'")
    assert browser.frame() == FRAMES - 1


def test_it_steps_and_scrubs(browser: Browser, page: Path) -> None:
    browser.open(page)
    for key, expected in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", FRAMES - 1), ("Home", 0)):
        browser.press(key)
        assert browser.frame() == expected
    browser.click("forward")
    assert browser.frame() == 1
    browser.click("back")
    assert browser.frame() == 0
    browser.click("scrub", across=0.5)
    assert abs(browser.frame() - FRAMES // 2) <= 1
    browser.press("ArrowRight")  # the slider has the focus now and must not step a second time
    browser.press("ArrowLeft")
    assert abs(browser.frame() - FRAMES // 2) <= 1
    at = browser.frame()
    assert browser.evaluate("frame.textContent") == f"frame {at:02d} / {FRAMES - 1}"
    assert browser.evaluate("time.textContent") == f"{at / FPS:.2f} s"
    assert browser.evaluate("error.textContent") == f"{20 + 3 * at:.1f} mm"
    assert "mm" in browser.evaluate("scrub.getAttribute('aria-valuetext')")


def test_it_orbits_and_zooms_by_mouse_and_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    seen = [browser.pixels("space")]
    flat = browser.pixels("flat")
    browser.drag("space", 120, 30)
    seen.append(browser.pixels("space"))
    x, y = browser.place("space")
    browser.point("mouseWheel", x, y, deltaX=0, deltaY=-200, button="none")
    browser.settle()
    seen.append(browser.pixels("space"))
    for key in ("a", "w", "+"):
        browser.press(key)
        seen.append(browser.pixels("space"))
    for name in ("'from-camera'", "'from-side'", "'from-top'"):
        browser.click(f"document.getElementById({name})")
        seen.append(browser.pixels("space"))
    assert len(set(seen)) == len(seen)
    assert browser.pixels("flat") == flat
    assert browser.frame() == 0


def test_the_error_curve_is_a_way_to_a_frame(browser: Browser, page: Path) -> None:
    browser.open(page)
    width = browser.evaluate("curve.getBoundingClientRect().width")
    share = (46 + 0.75 * (width - 60)) / width
    browser.click("curve", across=share)
    assert browser.frame() == 15
    browser.drag("curve", -0.25 * (width - 60), 0)
    assert browser.frame() < 10
    assert "mean 50.0 mm, from 20.0 to 80.0 mm" in browser.evaluate("curve.getAttribute('aria-label')")


def test_prediction_and_truth_together_or_side_by_side(browser: Browser, page: Path) -> None:
    browser.open(page)
    together = browser.pixels("space")
    browser.click("beside")
    assert browser.pixels("space") != together
    assert browser.evaluate("[beside.ariaPressed, together.ariaPressed].join()") == "true,false"
    browser.click("together")
    assert browser.pixels("space") == together


def test_keypoints_are_drawn_in_the_skeleton_of_their_own(
    browser: Browser, motion: NDArray[np.float64], keypoints: NDArray[np.float64], tmp_path: Path
) -> None:
    seen = []
    scene = scene_of(motion, keypoints)
    # A bone of the left side in the first and in the last, which has more keypoints than there are joints.
    for skeleton, ends in ((COCO_17, [5, 11]), (H36M_17, [5, 11]), (COCO_18, [5, 6])):
        points = np.full((FRAMES, len(skeleton), 2), np.nan)
        points[:, ends] = keypoints[:, [11, 4]]
        page = tmp_path / f"{skeleton.name}.html"
        write_page(page, replace(scene, keypoints_2d=points, keypoint_skeleton=skeleton))
        browser.open(page)
        browser.press("End")
        seen.append(browser.pixels("flat"))
    assert seen[0] == seen[2] != seen[1]


def test_nothing_is_fetched_and_nothing_complains(browser: Browser, page: Path) -> None:
    for size, dark in ((DESKTOP, False), (PHONE, True)):
        browser.open(page, size, dark)
        browser.click("play")
        browser.wait("Number(scrub.value) >= 2")
        browser.drag("space", 40, 0)
        assert browser.complaints() == []
        assert [url for url in browser.requests() if not url.startswith("data:")] == [page.as_uri()]


def test_a_phone_shows_all_of_it(browser: Browser, page: Path) -> None:
    browser.open(page, PHONE)
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    for name in ("space", "flat", "curve"):
        assert browser.evaluate(f"{name}.getBoundingClientRect().width") > 0.9 * PHONE[0]
    assert browser.evaluate("scrub.getBoundingClientRect().width") > 0.5 * PHONE[0]
    assert browser.evaluate("document.querySelector('footer').getBoundingClientRect().height") < 0.15 * PHONE[1]
    before = browser.pixels("space")
    x, y = browser.place("space")
    for kind, places in (
        ("touchStart", [(x, y)]),
        ("touchMove", [(x + 60, y)]),
        ("touchEnd", []),
    ):
        browser.send("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": a, "y": b} for a, b in places])
    browser.settle()
    assert browser.pixels("space") != before


def test_names_from_files_stay_text(
    browser: Browser, motion: NDArray[np.float64], keypoints: NDArray[np.float64], tmp_path: Path
) -> None:
    write_page(tmp_path / "page.html", scene_of(motion, keypoints, HOSTILE), model=HOSTILE)
    browser.open(tmp_path / "page.html")
    assert browser.evaluate("title.textContent") == f"S9, {HOSTILE}, camera 2" == browser.evaluate("document.title")
    assert browser.evaluate("document.images.length + document.scripts.length") == 2
    assert browser.complaints() == []
    refused = browser.evaluate(
        "new Promise((done) => { const script = document.createElement('script');"
        "script.textContent = 'window.ran = 1'; document.body.append(script);"
        "setTimeout(() => done(window.ran === undefined), 50); })"
    )
    assert refused, "the page's own policy lets no other script run"


def test_a_page_without_truth_has_no_error_curve(
    browser: Browser, motion: NDArray[np.float64], keypoints: NDArray[np.float64], tmp_path: Path
) -> None:
    write_page(tmp_path / "page.html", scene_of(motion, keypoints, truth=False))
    browser.open(tmp_path / "page.html")
    assert browser.evaluate("document.getElementById('curve-panel').hidden && layout.hidden")
    assert browser.evaluate("error.textContent") == ""
    before = browser.pixels("space")
    browser.press("ArrowRight")
    assert browser.pixels("space") != before
    assert browser.complaints() == []


def test_people_in_pictures(browser: Browser, standing: NDArray[np.float64], tmp_path: Path) -> None:
    colours = [(200, 40, 40), (40, 160, 60)]
    pictures = [np.full((300, 300, 3), colour, dtype=np.uint8) for colour in colours]
    ones = np.ones((2, 17), dtype=np.float32)
    predictions = PicturePredictions(
        skeleton=H36M_17,
        files=("folder/red.jpg", "green.jpg"),
        boxes=np.array([[150, 150, 180, 180]] * 2, dtype=np.float32),
        poses_3d=np.stack([standing, standing[:, [2, 1, 0]]]).astype(np.float32),
        keypoints_2d=np.stack([80 * standing[:, :2] + 150] * 2).astype(np.float32),
        confidence=ones,
        model="",
        scale="",
        subjects=("", ""),
        actions=("", ""),
        views=np.zeros(2, dtype=np.int64),
        frames=np.arange(2),
    )
    write_page(tmp_path / "people.html", picture_scene(predictions, pictures), note="told")
    browser.open(tmp_path / "people.html")
    corner = "Array.from(flat.getContext('2d').getImageData(flat.width / 2, flat.height / 2 + {}, 1, 1).data)"
    for at, (colour, name) in enumerate(zip(colours, ("red.jpg", "green.jpg"), strict=True)):
        below = int(browser.evaluate("Math.round(0.45 * Math.min(flat.width, flat.height))"))
        browser.wait(f"{corner.format(below)}[3] === 255")
        np.testing.assert_allclose(browser.evaluate(corner.format(below))[:3], colour, atol=4)
        assert browser.evaluate("frame.textContent") == f"person {at + 1} / 2"
        assert browser.evaluate("document.getElementById('flat-note').textContent") == name
        browser.press("ArrowRight")
    browser.press(" ")
    assert browser.evaluate("play.hidden && getComputedStyle(play).display === 'none'")
    assert browser.frame() == 1
    # The browser advises against reading pixels, which only this test does.
    assert not [event for event in browser.complaints() if "Canvas2D" not in str(event)]
    assert all(url.startswith(("file:", "data:")) for url in browser.requests())
    assert "told" in browser.evaluate("about.textContent")
    one = PicturePredictions(**{name: _first(value) for name, value in vars(predictions).items()})
    write_page(tmp_path / "one.html", picture_scene(one, pictures[:1]))
    browser.open(tmp_path / "one.html")
    assert browser.evaluate("title.textContent") == "red.jpg" and browser.evaluate("scrub.hidden")
    browser.screenshot(tmp_path / "one.png")


def _first(value: Any) -> Any:
    return value[:1] if isinstance(value, (np.ndarray, tuple)) else value
