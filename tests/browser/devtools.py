"""A headless Chromium, driven over a pipe with its DevTools protocol."""

import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

START_SECONDS = 60
ANSWER_SECONDS = 30


class BrowserFailed(Exception):
    pass


class Browser:
    """One page of a browser with a profile of its own, for a `with` block."""

    def __init__(self):
        self.program = shutil.which("chromium") or shutil.which("chromium-browser")
        if self.program is None:
            raise BrowserFailed("chromium is not installed: tools/setup --for test")
        self.number = 0
        self.received = b""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="millrace-browser-",
                                                   ignore_cleanup_errors=True)
        to_read, self.to_write = os.pipe()
        self.to_read, to_answer = os.pipe()
        words = [self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                 "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
                 "--window-size=900,620", f"--user-data-dir={self.profile.name}",
                 "--remote-debugging-pipe", "about:blank"]
        # It reads commands from descriptor 3 and answers on 4.
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_answer}', "browser", *words],
            pass_fds=(to_read, to_answer), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_answer)
        targets = self.call("Target.getTargets", seconds=START_SECONDS)["targetInfos"]
        page = next(each for each in targets if each["type"] == "page")
        self.session = None
        self.session = self.call("Target.attachToTarget",
                                 {"targetId": page["targetId"], "flatten": True})["sessionId"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to_write)
        os.close(self.to_read)
        self.profile.cleanup()

    session = None

    def call(self, method, params=None, seconds=ANSWER_SECONDS):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + seconds
        while True:
            answer = self.next_message(until)
            if answer.get("id") != self.number:
                continue
            if "error" in answer:
                raise BrowserFailed(f"{method}: {answer['error']['message']}")
            return answer["result"]

    def next_message(self, until):
        while b"\0" not in self.received:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.to_read], [], [], left)[0]:
                raise BrowserFailed("the browser does not answer")
            some = os.read(self.to_read, 1 << 16)
            if not some:
                raise BrowserFailed("the browser has ended")
            self.received += some
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def open(self, url):
        self.call("Page.enable")
        failed = self.call("Page.navigate", {"url": url}).get("errorText")
        if failed:
            raise BrowserFailed(f"{url}: {failed}")
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script):
        got = self.call("Runtime.evaluate", {"expression": script, "returnByValue": True,
                                             "awaitPromise": True})
        if "exceptionDetails" in got:
            raise BrowserFailed(got["exceptionDetails"].get("exception", {}).get("description", ""))
        return got["result"].get("value")

    def until(self, condition, seconds=ANSWER_SECONDS):
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise BrowserFailed(f"did not come true: {condition}")
            time.sleep(0.02)

    def screenshot(self, target):
        data = self.call("Page.captureScreenshot", {"format": "png"})["data"]
        pathlib.Path(target).write_bytes(base64.b64decode(data))
