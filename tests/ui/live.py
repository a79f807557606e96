"""A page that talks to a server of ours on 127.0.0.1, and to nothing else."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.ui.chromium import Page, offline_page

WAIT_SECONDS = 60.0


class LivePage:
    """What a person does in a web application: go somewhere, wait until something is there, click, type."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def go(self, url: str, width: int = 1400, height: int = 1000) -> None:
        self._page._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self._page.events.clear()
        self._page._call("Page.navigate", url=url)

    def wait(self, expression: str, seconds: float = WAIT_SECONDS) -> Any:
        """The first true value of a JavaScript expression."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := self._page.evaluate(expression):
                return value
            time.sleep(0.2)
        text = self._page.evaluate("document.body.innerText")
        raise AssertionError(f"{expression} is not true after {seconds} s; the page says: {text[:2000]}")

    def wait_for_text(self, text: str, seconds: float = WAIT_SECONDS) -> None:
        self.wait(f"document.body.innerText.includes({text!r})", seconds)

    def click(self, expression: str) -> None:
        """Click the middle of the element that a JavaScript expression gives, as a mouse does: where it has come to
        rest with nothing above it, for a page that is still drawn moves it from under the mouse."""
        middle = (
            f"(() => {{ const e = {expression}; if (!e) return null; e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(), at = [r.x + r.width / 2, r.y + r.height / 2];"
            " return r.width && e.contains(document.elementFromPoint(...at)) ? at : null; })()"
        )
        at, before, deadline = self.wait(middle), None, time.monotonic() + WAIT_SECONDS
        while at != before:
            assert time.monotonic() < deadline, f"{expression} does not come to rest"
            time.sleep(0.2)
            at, before = self.wait(middle), at
        for kind in ("mousePressed", "mouseReleased"):
            self._page._call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def until(self, done: str, act: Callable[[], None], seconds: float = WAIT_SECONDS) -> None:
        """Act, as a person does who is not answered, again each few seconds until an expression is true: a page that
        draws a form anew while somebody clicks takes no notice of the click."""
        deadline = time.monotonic() + seconds
        while True:
            act()
            try:
                self.wait(done, 5.0)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def fill(self, expression: str, text: str) -> None:
        """Give the input that a JavaScript expression gives a value, with the events that typing it would raise."""
        self.wait(
            f"(() => {{ const e = {expression}; if (!e) return false;"
            f" Object.getOwnPropertyDescriptor(Object.getPrototypeOf(e), 'value').set.call(e, {json.dumps(text)});"
            " for (const kind of ['input', 'change', 'blur']) e.dispatchEvent(new Event(kind, {bubbles: true}));"
            " return true; })()"
        )

    def evaluate(self, expression: str) -> Any:
        return self._page.evaluate(expression)

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self._page._call("Page.captureScreenshot")["data"])

    def strangers(self) -> list[str]:
        """Addresses beside 127.0.0.1 that the page has asked for."""
        return [url for url in self._page.requests() if "://127.0.0.1:" not in url]


def labelled(text: str, tag: str = "*") -> str:
    """A JavaScript expression: the innermost element of this tag whose text is `text`."""
    return f"[...document.querySelectorAll({tag!r})].filter(e => e.innerText?.trim() === {text!r}).pop()"


@contextmanager
def live_page(browser: str) -> Iterator[LivePage]:
    with offline_page(browser) as page:
        page._call(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        yield LivePage(page)
