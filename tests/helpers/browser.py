"""Chromium without a window, spoken to over a pair of pipes in the DevTools protocol.

No driver and no library: messages are JSON, ended by a zero byte, on the child's descriptors 3
(what we say) and 4 (what it says).
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
LAUNCH = (
    "import fcntl, os, sys\n"
    "a, b = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 20) for fd in sys.argv[1:3])\n"
    "os.dup2(a, 3); os.dup2(b, 4)\n"
    "os.execv(sys.argv[3], sys.argv[3:])\n"
)
PATIENCE_S = 60
TWO_FRAMES = (
    "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
)
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35, " ": 32, "Tab": 9}


def find():
    """Path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of one Chromium. All that it asks for and says is kept."""

    def __init__(self, program, folder):
        ours, theirs = os.pipe(), os.pipe()
        self._in, self._out = theirs[0], ours[1]
        arguments = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        with (folder / "stderr").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(ours[0]), str(theirs[1]), *arguments],
                pass_fds=(ours[0], theirs[1]), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, env={**os.environ, "HOME": str(folder)},
            )  # fmt: skip
        os.close(ours[0])
        os.close(theirs[1])
        self._n, self._rest, self.events, self._session = 0, b"", [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Do something and give its result."""
        self._n += 1
        said = {"id": self._n, "method": method, "params": params}
        if self._session:
            said["sessionId"] = self._session
        os.write(self._out, json.dumps(said).encode() + b"\0")
        end = time.monotonic() + PATIENCE_S
        while True:
            heard = self._hear(end)
            if heard.get("id") == self._n:
                assert "error" not in heard, heard["error"]
                return heard["result"]
            self.events.append(heard)

    def _hear(self, end):
        """Wait for the next message."""
        while b"\0" not in self._rest:
            left = end - time.monotonic()
            ready, _, _ = select.select([self._in], [], [], max(left, 0))
            assert ready, "Chromium says nothing"
            piece = os.read(self._in, 1 << 20)
            assert piece, "Chromium is gone"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, *, width=1400, height=900, scheme="light"):
        """Open a file in a window of that size, and wait until its pictures are drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])  # fmt: skip
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait(
            "document.readyState === 'complete' && "
            "[...document.querySelectorAll('[data-viewer]')].every(v => v.dataset.ready)"
        )

    def run(self, code):
        """Value of an expression."""
        done = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, code):
        """Wait until an expression holds."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(code):
            assert time.monotonic() < end, f"never came true: {code}"
            time.sleep(0.05)

    def key(self, name):
        """Press a key."""
        known = {"key": name, "code": name, "windowsVirtualKeyCode": KEYS[name]}
        for kind in ("keyDown", "keyUp"):
            text = {"text": " "} if name == " " and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, **known, **text)

    def click(self, selector):
        """Click the middle of an element, wherever the page has to be scrolled to."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        self.run(TWO_FRAMES)  # a click is dealt by the frame shown, not by the one to come
        middle = "(b => [b.x + b.width / 2, b.y + b.height / 2])"
        box = self.run(f"{middle}({found}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left",
                      clickCount=1)  # fmt: skip

    def screenshot(self, path):
        """Write the whole page as PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def requests(self):
        """Addresses that the page asked for, data that it holds itself aside."""
        asked = [each["params"]["request"]["url"] for each in self.events
                 if each.get("method") == "Network.requestWillBeSent"]  # fmt: skip
        return [url for url in asked if not url.startswith("data:")]

    def complaints(self):
        """All that the console shows."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [each["params"] for each in self.events if each.get("method") in kinds]

    def close(self):
        """End the process."""
        with contextlib.suppress(AssertionError, OSError):
            self._session = None
            self.call("Browser.close")
        os.close(self._out)
        os.close(self._in)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
