"""A real Chromium for the pages; the tests are skipped, by name, where there is none."""

import os
import shutil

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET += ("--disable-background-networking", "--disable-component-update", "--disable-sync")


def find_chromium() -> str:
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None and not os.environ.get("CI"):
        pytest.skip("no Chromium: apt-get install chromium")
    assert path, "the pages are tested in a browser: apt-get install chromium"
    return path


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # for machines that are busy with the other tests
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def open_profile(chromium):
    """``open_profile(folder)``: a browser of its own, whose profile lies in ``folder`` and stays there."""
    opened = []

    def open_one(folder, **settings):
        settings |= {"executable_path": find_chromium(), "args": list(QUIET)}
        opened.append(chromium.browser_type.launch_persistent_context(folder, **settings))
        opened[-1].set_default_timeout(30_000)
        return opened[-1]

    yield open_one
    for context in opened:
        context.close()


@pytest.fixture
def open_page(chromium):
    """``open_page(path)``: a fresh browser profile's page, which must not fail or ask for any address."""
    complaints, contexts = [], []

    def open_one(path, **settings):
        contexts.append(chromium.new_context(**settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(f"script error: {error}"))
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("request", lambda asked: check_address(asked.url))
        page.goto(path.resolve().as_uri())
        return page

    def check_address(url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            complaints.append(f"asked for {url}")

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints
