"""The scripts that the documents print, run as printed in a page of the server."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import ConsoleMessage

from tests.browser.pages import Site
from tests.helpers.documents import ROOT, code_blocks

# A part of each script, and what it says on the console.
SCRIPTS = [
    ("README.md", "room-message", "Ada: Hello"),
    ("README.md", "TextDecoderStream", "Hi there"),
    ("docs/api.md", "/api/sse/messages", "Hello"),
    ("docs/browser.md", "enterAsGuest", "Ada Hello"),
]
GUEST = """async () => {
  const response = await fetch("/api/auth/guest", {method: "POST", body: '{"username": "Ada"}'});
  return (await response.json()).token;
}"""
# Makes each of them say something; the session has visitors, and no owner.
SAY = """async (token) => {
  const post = (path, headers, body) => fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
  await post("/api/rooms/lobby/messages", {"Authorization": `Bearer ${token}`}, {message: "Hello"});
  await post("/api/messages", {}, {sessionId: 42, content: "Hello"});
}"""


@pytest.mark.parametrize(("document", "part", "said"), SCRIPTS, ids=[part for _, part, _ in SCRIPTS])
@pytest.mark.gen_test(timeout=60)
async def test_script(site: Site, document: str, part: str, said: str) -> None:
    """It says on the console what its reader expects."""
    [script] = [block for block in code_blocks(ROOT / document, "js") if part in block]
    script = re.sub(r"^import (\{.*?\}) from (\S+);$", r"const \1 = await import(\2);", script, flags=re.MULTILINE)
    page = await site.page("/docs")

    def matches(message: ConsoleMessage) -> bool:
        return said in message.text

    token = await page.evaluate(GUEST)
    async with page.expect_console_message(matches):
        await page.evaluate("async (token) => {" + script + "}", token)
        await page.evaluate(SAY, token)
