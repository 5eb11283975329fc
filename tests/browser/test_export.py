"""The export of a room, as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import expect
from tornado.web import Application

from tests.browser.pages import LIMIT, Site, say, sees


@pytest.mark.gen_test(timeout=60)
async def test_a_room_is_exported_and_fetched(site: Site, app: Application, tmp_path: Path) -> None:
    """By the keyboard alone: it waits for its turn, is cancelled, begun again, and downloaded."""
    page = await site.join("Ada")
    await say(page, "Hello <b>world</b>")
    await sees(page, "Hello <b>world</b>")
    exports = app.settings["server"].exports
    async with exports._places, exports._places:
        await page.click("#open-room")
        await page.select_option("#export-format", "jsonl")
        await page.focus("#export-form [type=submit]")
        await page.keyboard.press("Enter")
        bar = page.get_by_role("progressbar", name="Export")
        await expect(bar).to_be_visible(timeout=LIMIT)
        await expect(page.locator("#export-state")).to_have_text("Waiting for its turn…")
        await expect(page.locator("#export-cancel")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#export-state")).to_have_text("The export was cancelled", timeout=LIMIT)
    await expect(page.locator("#export-again")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#export-format")).to_be_focused()
    await page.click("#export-form [type=submit]")
    await expect(page.locator("#export-state")).to_have_text("Ready to download", timeout=LIMIT)
    await expect(bar).to_have_attribute("aria-valuenow", "100")
    await expect(page.locator("#export-download")).to_be_focused()
    for _ in range(2):  # each time by a ticket of its own
        async with page.expect_download(timeout=LIMIT) as download:
            await page.keyboard.press("Enter")
        got = await download.value
        assert got.suggested_filename == "lobby.jsonl"
        await got.save_as(tmp_path / "lobby.jsonl")
        (line,) = (tmp_path / "lobby.jsonl").read_text().splitlines()
        assert json.loads(line)["message"] == "Hello <b>world</b>"
