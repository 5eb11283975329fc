"""AI replies over HTTP (section 4), with the offline provider."""

from __future__ import annotations

import pytest

from tests.helpers.chat import Chat

pytestmark = pytest.mark.gen_test(timeout=30)


async def test_smoke(chat: Chat) -> None:
    a = await chat.post("/api/chat/stream", {"message": "Hi there"})
    print(a.headers, a.body.decode()[:400], a.body[-200:])
    mid = a.headers["X-Message-Id"]
    b = await chat.get(f"/api/chat/stream/{mid}?after=2")
    print(b.body.decode()[:300])
    r = await chat.join()
    await chat.say("lobby", "@ai who is here?")
    print(await r.event("bot-chunk"))
    while True:
        e = await r.next()
        print(e)
        if e.type == "room-message" and "isFromBot" in e.data:
            break
    c = await chat.post(f"/api/chat/stream/{mid}/regenerate")
    print(c.body[-100:])
    assert 0
