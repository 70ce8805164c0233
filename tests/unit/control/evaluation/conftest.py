"""A browser for the tests of pages."""

import shutil

import pytest


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, where there is one."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    with api.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


class Tab:
    """A page in the browser that keeps what it complains of and what it asks for."""

    def __init__(self, browser, path):
        self.complaints, self.requests = [], []
        self.page = browser.new_page(viewport={"width": 1400, "height": 900})
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-ready]", timeout=30_000)

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def is_quiet(self):
        """No complaint, and no request but for the file itself and what it holds."""
        asked = [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]
        return self.complaints == [] and asked == []


@pytest.fixture
def open_page(browser):
    """A page of a file."""
    tabs = []

    def opened(path):
        tabs.append(Tab(browser, path))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.page.close()
