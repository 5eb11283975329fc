"""The pages in examples/, as a reader of the documentation opens them: from another port than the server's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from tests.browser.pages import LIMIT, Site
from tests.browser.parts import ROOT, StrictPage, clean_page, make_react, needs_react


@contextmanager
def pages(vendor: Path) -> Iterator[str]:
    """The checkout, served by something else than chatrooms; gives its URL."""
    routes = [
        (r"/examples/react/vendor/(.*)", StrictPage, {"path": str(vendor)}),
        (r"/((?:examples|static)/.*)", StrictPage, {"path": str(ROOT), "default_filename": "index.html"}),
    ]
    socket, port = bind_unused_port(address="127.0.0.1")
    server = HTTPServer(Application(routes))
    server.add_sockets([socket])
    try:
        yield f"http://127.0.0.1:{port}/examples"
    finally:
        server.stop()


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_the_examples_talk_to_each_other(site: Site, tmp_path: Path) -> None:
    """What is said on the page of elements is read on that of React, and the other way round."""
    make_react(tmp_path)
    server = site.url.replace("localhost", "127.0.0.1")
    with pages(tmp_path) as url:
        async with (
            clean_page(site, f"{url}/elements/index.html?server={server}&name=Bob") as bob,
            clean_page(site, f"{url}/react/index.html?server={server}") as ada,
        ):
            await expect(bob.get_by_text("2 online")).to_be_visible(timeout=LIMIT)
            await ada.get_by_label("Message").fill("from React")
            await ada.keyboard.press("Enter")
            await expect(bob.locator("chat-room").get_by_text("from React")).to_be_visible(timeout=LIMIT)
            await bob.locator("chat-room textarea").fill("from elements")
            await bob.keyboard.press("Enter")
            await expect(ada.get_by_role("log")).to_contain_text("from elements", timeout=LIMIT)
