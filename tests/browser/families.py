"""Users in tabs of one browser, each of which reads streams of all families."""

from __future__ import annotations

import json
from typing import Any, Self

from benchmarks.server_process import token
from tests.browser.crowd import Visitor
from tests.helpers.chat import eventually
from tests.helpers.devtools import DevTools, Tab

FAMILIES = ("room", "notifications", "session", "task", "personal")

ENTER = """(async ({name, own, renewed, service, options}) => {
    const { Chatrooms } = await import("/static/client/chatrooms.js");
    window.present = own;
    window.isRenewed = () => present === renewed;
    const getToken = (refused) => (window.present = refused === own ? renewed : present);
    window.chat = new Chatrooms({ getToken, storage: null, ...options });
    window.program = new Chatrooms({ token: service, storage: null, share: false });
    const texts = {
        "room-message": ({ message }) => message,
        note: ({ data }) => data.text,
        message: ({ content }) => content,
        progress: (task) => task.progress,
        complete: (task) => task.progress,
    };
    window.heard = {};
    window.streams = {};
    window.listen = (label, stream) => {
        streams[label] = stream;
        heard[label] = [];
        stream.addEventListener("event", ({ detail: { type, data } }) => {
            if (texts[type]) heard[label].push(texts[type](data));
        });
        return null;
    };
    window.newTask = async () => (await chat.json("POST", "/api/v1/tasks", { body: { title: "work" } })).task_id;
    window.change = (id, body) => chat.json("PATCH", `/api/v1/tasks/${id}`, { body }).then(() => null);
    window.note = (text) =>
        program.json("POST", "/api/notifications", { body: { userId: name, type: "note", data: { text } } });
    window.taskId = await newTask();
    listen("room", chat.room("lobby", { username: name }));
    listen("notifications", chat.notifications(name));
    listen("session", chat.session(`of-${name}`));
    listen("task", chat.watchTask(taskId));
    listen("personal", chat.personal());
    window.speak = async (text, progress) => {
        const sent = new Promise((done) => streams.room.addEventListener("sent", done, { once: true }));
        streams.room.send(text);
        const others = [
            note(text), chat.sendToSession({ sessionId: `of-${name}`, content: text }),
            change(taskId, { state: "running", progress }),
        ];
        await Promise.all([sent, ...others]);
        return null;
    };
})"""


class Reader(Visitor):
    """In the lobby, with notifications, a session, a task and the personal stream."""

    def __init__(self, tab: Tab, name: str) -> None:
        super().__init__(tab, name)
        self.said: list[str] = []

    @classmethod
    async def enters(cls, tools: DevTools, url: str, name: str, own: str = "", **options: Any) -> Self:
        """Opens the tab. `own`: a token that may be refused, after which the page has a better one."""
        reader = cls(await tools.open(f"{url}/docs"), name)
        tokens = {"own": own or token(name), "renewed": token(name), "service": token("program", "service")}
        await reader.tab.evaluate(f"{ENTER}({json.dumps({'name': name, **tokens, 'options': options})})")
        await eventually(reader.is_open)
        return reader

    async def is_open(self) -> bool:
        """Whether all its streams are, or are read by polls."""
        return {state["state"] for state in await self.states()} <= {"open", "polling"}

    async def states(self) -> list[dict[str, Any]]:
        """What its streams say of themselves."""
        states: list[dict[str, Any]] = await self.tab.evaluate("Object.values(streams).map(({ state }) => state)")
        return states

    async def speak(self) -> None:
        """Something new for each of its streams; returns when the server has it."""
        self.said.append(f"{self.name} {len(self.said) + 1}")
        await self.tab.evaluate(f"speak({json.dumps(self.said[-1])}, {len(self.said)})")

    async def heard(self, label: str) -> list[Any]:
        heard: list[Any] = await self.tab.evaluate(f"heard[{json.dumps(label)}]")
        return heard


async def check_heard(readers: list[Reader], in_lobby: list[str]) -> None:
    """Everybody has heard what was said to them, once and in order, on each of their streams."""
    order: list[str] = []
    for reader in readers:
        await eventually(lambda reader=reader: _has_heard(reader, in_lobby))  # type: ignore[misc]
        order = order or await reader.heard("room")
        assert sorted(order) == sorted(in_lobby)
        assert await reader.heard("room") == order, reader.name
        assert await reader.heard("notifications") == reader.said
        assert await reader.heard("session") == reader.said
        progress = await reader.heard("task")
        assert progress == sorted(set(progress)) and progress[-1] == len(reader.said), reader.name
        personal = await reader.heard("personal")
        rest = list(personal)
        for text in reader.said:  # a notification and a message have the same text here
            rest.remove(text)
        assert sorted(rest) == sorted(in_lobby), reader.name
        assert [text for text in dict.fromkeys(personal) if text not in reader.said] == [
            text for text in order if text not in reader.said
        ], reader.name


async def _has_heard(reader: Reader, in_lobby: list[str]) -> bool:
    own = len(reader.said)
    counts = {label: len(await reader.heard(label)) for label in ("room", "notifications", "session", "personal")}
    done = (await reader.heard("task"))[-1:] == [own]
    lobby = len(in_lobby)
    return done and counts == {"room": lobby, "notifications": own, "session": own, "personal": lobby + own}
