"""The demo's files: what is served and what is not."""

from __future__ import annotations

import pytest

from chatrooms.http.pages import static_folder
from tests.helpers.chat import Answer, Chat

pytestmark = pytest.mark.gen_test(timeout=30)


def check_policy(answer: Answer) -> None:
    """No script but our own files, no frame around us."""
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_index_is_served(chat: Chat) -> None:
    """As it is in the folder, to be asked for anew each time."""
    answer = await chat.get("/", None)
    assert answer.status == 200
    assert answer.body == (static_folder() / "index.html").read_bytes()
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Cache-Control"] == "no-cache"
    check_policy(answer)
    again = await chat.get("/", None, headers={"If-None-Match": answer.headers["Etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["markdown-it-15.0.3/markdown-it.esm.min.mjs", "highlight.js-11.12.0/core.min.js"])
async def test_vendored_files_are_cached_for_good(chat: Chat, path: str) -> None:
    """Their folder names the version; a browser takes them as modules by their type. Not so what is missing."""
    answer = await chat.get(f"/static/vendor/{path}", None)
    assert answer.status == 200
    assert answer.body == (static_folder() / "vendor" / path).read_bytes()
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in answer.headers["Cache-Control"]
    check_policy(answer)
    again = await chat.get(f"/static/vendor/{path}", None, headers={"If-None-Match": answer.headers["Etag"]})
    assert (again.status, again.body) == (304, b"")
    missing = await chat.get(f"/static/vendor/{path}x", None)
    assert (missing.status, missing.headers["Cache-Control"]) == (404, "no-cache")


async def test_head_of_the_index_has_no_body(chat: Chat) -> None:
    """But the length of one."""
    answer = await chat.call("HEAD", "/", None, None)
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == (static_folder() / "index.html").stat().st_size


@pytest.mark.parametrize(
    "path",
    ["../setup.cfg", "..%2fsetup.cfg", "%2e%2e/setup.cfg", "%2e%2e%2fsetup.cfg", "..%5csetup.cfg", "....//setup.cfg",
     "x/../../setup.cfg", "/etc/passwd", "%2fetc%2fpasswd", "..%252fsetup.cfg", "%c0%ae%c0%ae/setup.cfg", "%00",
     "index.html%00", "../static/../setup.cfg", "", ".", "..", "%ff", "x" * 5000, "../chatrooms/app.py", "\\..\\x"],
)  # fmt: skip
async def test_nothing_outside_the_folder_is_served(chat: Chat, path: str) -> None:
    """Nor the folder itself; 403 or 404 in JSON, whether there is such a file or not."""
    answer = await chat.raw(f"GET /static/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (answer.status, answer.code) in ((403, "forbidden"), (404, "not-found"))
    check_policy(answer)


async def test_link_out_of_the_folder_is_not_followed(chat: Chat) -> None:
    """It is where it points to that counts."""
    link = static_folder() / "zz-link-out"
    link.symlink_to("/etc/hostname")
    try:
        assert (await chat.get("/static/zz-link-out", None)).status == 404
    finally:
        link.unlink()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_pages_are_read_only(chat: Chat, method: str) -> None:
    """405 in JSON."""
    for path in ("/", "/static/index.html"):
        answer = await chat.call(method, path, b"", None)
        assert (answer.status, answer.code) == (405, "method-not-allowed")
