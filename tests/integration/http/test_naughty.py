"""Strings that break careless servers, in every field: one event with identical text, or a 400."""

from __future__ import annotations

import json
import unicodedata
from urllib.parse import quote

import pytest

from tests.helpers.chat import Chat
from tests.helpers.data import naughty_strings
from tests.helpers.reader import data

pytestmark = pytest.mark.gen_test(timeout=120)

STRINGS = [text for text in naughty_strings() if text.encode(errors="replace").decode() == text]
MESSAGES = "/api/rooms/lobby/messages"


def plain(name: str) -> str:
    """A name as it is shown."""
    return unicodedata.normalize("NFC", name.strip())


@pytest.mark.options(message_rate=0)
async def test_message_and_its_id_come_through_unchanged(chat: Chat) -> None:
    """Each accepted text is exactly one event, in order, byte for byte."""
    reader = await chat.join()
    accepted: list[tuple[str, str | None]] = []
    for text in STRINGS:
        for body in ({"message": text}, {"message": "m", "clientMessageId": text}):
            answer = await chat.post(MESSAGES, body)
            assert answer.status in (200, 201, 400, 413), (text, answer)
            if answer.status == 201:
                accepted.append((body["message"], body.get("clientMessageId")))
                assert (answer.data["message"], answer.data.get("clientMessageId")) == accepted[-1]
            elif body["message"] == text:
                assert not text.strip() or "\0" in text
    await chat.say("lobby", "fence")
    await reader.message("fence")
    events = [data(event) for event in reader.seen if event.type == "room-message"][:-1]
    assert [(event["message"], event.get("clientMessageId")) for event in events] == accepted
    assert len(accepted) > len(STRINGS)
    assert set(reader.types()) == {"system", "room-message"}


async def test_names_come_through_trimmed_and_composed(chat: Chat) -> None:
    """In `system`, `user-joined` and a message, or a 400."""
    watcher = await chat.join(user="watcher")
    accepted = 0
    for text in STRINGS:
        reader = await chat.read(user="alice", username=text)
        assert reader.status in (200, 400), text
        posted = await chat.post(MESSAGES, {"message": "m", "username": text}, "robot", role="service")
        assert (posted.status == 201) is (reader.status == 200), text
        if reader.status == 200:
            accepted += 1
            assert (await reader.event("system"))["username"] == posted.data["username"] == plain(text)
            assert (await watcher.event("user-joined"))["username"] == plain(text)
            await chat.post("/api/rooms/lobby/leave", {"clientId": data(reader.seen[0])["clientId"]}, "alice")
            await watcher.event("user-left")
    assert accepted > 100


async def test_ids_come_through_composed(chat: Chat) -> None:
    """As room and as client, in the query and in the path, or a 400."""
    accepted = 0
    for text in STRINGS:
        reader = await chat.read(room=text)
        assert reader.status in (200, 400), text
        posted = await chat.post(
            f"/api/rooms/{quote(text, safe='')}/messages", {"message": "m"}, "robot", role="service"
        )
        assert posted.status in (201, 400, 404, 405), text
        if reader.status == 200:
            accepted += 1
            assert (await reader.event("system"))["roomId"] == posted.data["roomId"] == plain(text)
            assert (await reader.event("room-message"))["roomId"] == plain(text)
        reader.close()
        reader = await chat.read(clientId=text)
        assert reader.status in (200, 400), text
        if reader.status == 200 and text:
            assert (await reader.event("system"))["clientId"] == plain(text)
        reader.close()
    assert accepted > 50


@pytest.mark.options(ai_delay=0)
async def test_question_is_quoted_unchanged(chat: Chat) -> None:
    """Joined, the chunks hold the text, or its beginning when it is long."""
    for text in STRINGS:
        answer = await chat.post("/api/chat/stream", {"message": text})
        if not text.strip() or "\0" in text:
            assert answer.status == 400
            continue
        assert answer.status == 200, text
        lines = [line[6:] for line in answer.body.decode().split("\n") if line.startswith('data: {"type":"content"')]
        assert f"“{text.strip()[:200]}" in "".join(json.loads(line)["text"] for line in lines)


async def test_strings_anywhere_in_a_query_never_make_a_500(chat: Chat) -> None:
    """As token, position, count and what nobody asked for."""
    for text in STRINGS:
        value = quote(text, safe="")
        for name in ("lastEventId", "history", "poll", "userId", "other", value):
            path = f"/events?roomId=lobby&username=a&poll=1&{name}={value}"
            if len(path) < 20_000 and name != "poll":
                assert (await chat.get(path)).status in (200, 400, 403), text
        assert (await chat.get(f"/api/rooms?token={value}", None)).status == 401
