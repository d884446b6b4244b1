"""Drives a browser: screen, network, clicks, keys and what a page shows."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from .api_service import Service
from .waiting import wait_until

PHONE, DESK = (390, 844), (1280, 900)
# Where pictures of the pages are put, for people to look at.
PICTURES = os.environ.get("PICTURES")


class PageDriver:
    """One browser session; `leave` fails on unexpected messages of the console."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser
        self._expected: list[str] = ["favicon", "/events"]
        self.browser.execute_cdp_cmd("Network.enable", {})
        self.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.looks(DESK)

    # -- the browser ------------------------------------------------------------------

    def looks(self, size: tuple[int, int], *, dark: bool = False, scripts: bool = True) -> None:
        """Take another screen, by day or night; scripts: whether the browser runs any."""
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self._cdp("Emulation.setDeviceMetricsOverride", screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._cdp("Emulation.setEmulatedMedia", {"features": [scheme]})
        self._cdp("Emulation.setScriptExecutionDisabled", {"value": not scripts})

    def offline(self, is_offline: bool) -> None:
        """Pull the cable, or put it back."""
        rates = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._cdp("Network.emulateNetworkConditions", {"offline": is_offline, **rates})

    def go(self, service: Service | str, path: str) -> None:
        """Open a page, whole: the driver may be back before its styles and scripts are there.

        service: an order service, or the origin under which the browser knows it.
        """
        origin = service if isinstance(service, str) else f"http://127.0.0.1:{service.port}"
        self.browser.get(f"{origin}{path}")
        whole = "return location.protocol === 'http:' && document.readyState === 'complete'"
        wait_until(lambda: self.run(whole), 10, f"{path} is loaded")

    def expect(self, *words: str) -> None:
        """The browser's console may say this."""
        self._expected += words

    def leave(self) -> None:
        """Go away; fails when the console has said anything that was not expected."""
        self.offline(False)
        said = [entry["message"] for entry in self.browser.get_log("browser")]
        self.browser.get("about:blank")
        self._cdp("Emulation.setScriptExecutionDisabled", {"value": False})
        unexpected = [each for each in said if not any(word in each for word in self._expected)]
        assert not unexpected, unexpected

    def picture(self, name: str) -> None:
        """Take a picture of the whole page, if anybody wants pictures."""
        if PICTURES:
            height = self.run("return document.documentElement.scrollHeight")
            clip = {
                "x": 0,
                "y": 0,
                "width": self.run("return innerWidth"),
                "height": height,
                "scale": 1,
            }
            shot = self._cdp(
                "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
            )
            Path(PICTURES, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def _cdp(self, command: str, words: dict[str, Any]) -> Any:
        return self.browser.execute_cdp_cmd(command, words)

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self.browser.execute_script(script, *arguments)

    # -- what a person sees and does ----------------------------------------------------

    @property
    def path(self) -> str:
        return "/" + self.browser.current_url.split("/", 3)[3]

    def find(self, css: str) -> WebElement:
        """The first thing of this kind, once it is there."""
        return wait_until(lambda: next(iter(self.all(css)), None), 10, f"there is {css}")

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        """The words of the first thing of this kind, as they are seen."""
        return self.find(css).text

    def sees(self, css: str, words: str, seconds: float = 10) -> None:
        """Wait until these words stand there."""

        def there() -> bool:
            try:
                return any(words in each.text for each in self.all(css))
            except StaleElementReferenceException:
                return False

        wait_until(there, seconds, f"{css} says {words!r}")

    def fill(self, name: str, text: str) -> None:
        field = self.find(f"[name={name}]")
        field.clear()
        field.send_keys(text)

    def click(self, css: str) -> None:
        element = self.find(css)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def submit(self, css: str) -> None:
        """Click a button that leads to another document, and wait for that document.

        A browser drops a form that it is about to send when another page is opened at that moment.
        """
        began = "return performance.timeOrigin"
        before = self.run(began)
        self.click(css)
        wait_until(lambda: self.run(began) != before, 10, f"{css} leads to another page")

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            self.browser.switch_to.active_element.send_keys(getattr(Keys, key, key))
