"""A page in headless Chromium, driven by its DevTools protocol over a pipe: the standard library alone.

    with Chromium(folder) as browser:
        page = browser.open(url)
        page.wait("document.title !== ''")
        page.run("document.querySelector('button').click()")
        assert not page.complaints
"""

import base64
import json
import os
import pathlib
import select
import shlex
import shutil
import signal
import subprocess
import time

NAMES = ["chromium-headless-shell", "chromium"]
LONG = 300  # s; a page that works never takes so long


def program():
    """The browser's path; None: there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def end_group(group):
    """Kills a process group and waits until no process of it runs. Those that nobody reaps are left."""
    deadline = time.time() + LONG
    while any(running_group(stat) == group for stat in pathlib.Path("/proc").glob("[0-9]*/stat")):
        if time.time() > deadline:
            raise RuntimeError(f"process group {group} still runs {LONG} s after it was killed")
        os.killpg(group, signal.SIGKILL)
        time.sleep(0.01)


def running_group(stat):
    """The process group of the process with this /proc/PID/stat; None: it has ended."""
    try:
        state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(group)


class Chromium:
    """One browser, a group of processes. Its calls are answered in order, and its events are handed to the pages.

    After the block none of its processes writes into the folder any more.
    """

    def __init__(self, folder):
        self.pages = {}
        self.number = 0
        self.pending = b""
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        # Debian's `chromium` is a script, so the pipe's two numbers are given by the shell.
        words = [program(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run",
                 "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                 "--disable-component-update", "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        self.log = open(pathlib.Path(folder) / "chromium.log", "wb")
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec {shlex.join(words)} about:blank 3<&{theirs_in} 4>&{theirs_out}"],
            pass_fds=(theirs_in, theirs_out), stdout=self.log, stderr=self.log, start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        # Killed alone, it would leave helpers that write into the profile for a moment longer.
        end_group(self.process.pid)
        self.process.wait()
        os.close(self.into)
        os.close(self.out)
        self.log.close()

    def call(self, method, session=None, **arguments):
        self.number += 1
        message = {"id": self.number, "method": method, "params": arguments}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        deadline = time.time() + LONG
        while True:
            reply = self.next(deadline)
            if reply is None:
                raise RuntimeError(f"the browser does not answer {method}; see {self.log.name}")
            if reply.get("id") == self.number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]

    def next(self, deadline):
        """The next message, after events were handed to their pages; None: none came in time."""
        while b"\0" not in self.pending:
            left = deadline - time.time()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                return None
            block = os.read(self.into, 1 << 20)
            if not block:
                raise RuntimeError(f"the browser has ended; see {self.log.name}")
            self.pending += block
        message, _, self.pending = self.pending.partition(b"\0")
        message = json.loads(message)
        page = self.pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.event(message["method"], message["params"])
        return message

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Runtime", "Log", "Page", "Network"):
            page.call(f"{domain}.enable")
        page.call("Page.navigate", url=url)
        page.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page


class Page:
    """One page: what it asked the network for, and what it complained of."""

    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.requests, self.complaints = [], []

    def call(self, method, **arguments):
        return self.browser.call(method, self.session, **arguments)

    def event(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"])

    def run(self, script):
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, condition, seconds=LONG):
        deadline = time.time() + seconds
        while not self.run(condition):
            if time.time() > deadline:
                raise RuntimeError(f"{condition} did not become true within {seconds} s: "
                                   + self.run("document.body.innerText.slice(0, 2000)"))
            self.browser.next(time.time() + 0.05)

    def look(self, width, height, scheme):
        """Another size of the window and another color scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        png = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(png))
