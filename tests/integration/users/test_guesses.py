"""Guesses at passwords: bounded for who makes them, harmless for whose they are."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest

from chatrooms import limits
from chatrooms.users.passwords import KNOWN_DEVICES, STRANGERS
from tests.helpers.chat import Answer, Chat
from tests.integration.users.test_accounts import ADA, bearer, me

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]

RATE = 2
BEHIND_A_PROXY = pytest.mark.options(signin_rate=RATE, trusted_proxies="127.0.0.1")


async def sign_up(chat: Chat, address: str) -> str:
    answer = await chat.post("/api/signup", ADA, None, headers={"X-Forwarded-For": address})
    assert answer.status == 201, answer
    token: str = answer.data["token"]
    return token


async def sign_in(chat: Chat, address: str, password: str = ADA["password"], name: str = "Ada", **more: str) -> Answer:
    headers = {"X-Forwarded-For": address, **more}
    return await chat.post("/api/signin", {"username": name, "password": password}, None, headers=headers)


async def guess(chat: Chat, guesses: int, name: str = "Ada") -> list[int]:
    """The statuses of wrong passwords, RATE from each of many addresses."""
    tries = [await sign_in(chat, f"10.9.0.{n // RATE}", "wrong horse", name) for n in range(guesses)]
    return [answer.status for answer in tries]


def of_our_page(chat: Chat, device: str = "") -> dict[str, str]:
    own = {"Origin": f"http://127.0.0.1:{chat.port}"}
    return {**own, "Cookie": f"chatrooms_device={device}"} if device else own


def device_of(answer: Answer) -> str:
    cookies = [SimpleCookie(line) for line in answer.headers.get_list("Set-Cookie")]
    (device,) = [cookie["chatrooms_device"] for cookie in cookies if "chatrooms_device" in cookie]
    assert device["httponly"] and device["samesite"] == "Lax"
    return device.value


@BEHIND_A_PROXY
async def test_guesses_from_everywhere_do_not_lock_known_devices_out(chat: Chat) -> None:
    """Together they are bounded; who signed up or in from an address, or has the cookie, still gets in."""
    await sign_up(chat, "1.1.1.1")
    phone = device_of(await sign_in(chat, "2.2.2.2", **of_our_page(chat)))
    allowed = RATE * STRANGERS - 1  # one was the phone's
    assert await guess(chat, allowed + 3) == [401] * allowed + [429] * 3
    assert (await sign_in(chat, "3.3.3.3")).status == 429
    assert (await sign_in(chat, "3.3.3.3", **of_our_page(chat, "x" * 22))).status == 429
    assert (await sign_in(chat, "1.1.1.1")).status == 200
    assert (await sign_in(chat, "2.2.2.2")).status == 200
    on_the_way = await sign_in(chat, "4.4.4.4", **of_our_page(chat, phone))
    assert (on_the_way.status, device_of(on_the_way)) == (200, phone)
    assert (await sign_in(chat, "4.4.4.4")).status == 200


@BEHIND_A_PROXY
async def test_names_that_nobody_has_do_not_make_guesses_forgotten(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many counts are remembered, and anybody may make names up."""
    monkeypatch.setattr(limits, "REMEMBERED", 20)
    await sign_up(chat, "1.1.1.1")
    assert set(await guess(chat, RATE * STRANGERS)) == {401}
    for n in range(30):
        assert (await sign_in(chat, f"10.8.0.{n}", "wrong horse", f"nobody {n}")).status == 401
    assert (await sign_in(chat, "3.3.3.3", "wrong horse")).status == 429


@BEHIND_A_PROXY
async def test_guesses_of_others_do_not_hinder_a_new_password(chat: Chat) -> None:
    """Who is signed in has a count of their own, for each sign-in."""
    token = await sign_up(chat, "1.1.1.1")
    other = (await sign_in(chat, "1.1.1.1")).data["token"]
    await guess(chat, RATE * STRANGERS + 1)
    body = {"currentPassword": "wrong horse", "newPassword": "better horse"}
    tries = [await chat.post("/api/auth/password", body, None, headers=bearer(other)) for _ in range(RATE + 1)]
    assert [answer.status for answer in tries] == [401] * RATE + [429]
    body["currentPassword"] = ADA["password"]
    assert (await chat.post("/api/auth/password", body, None, headers=bearer(token))).status == 200


@BEHIND_A_PROXY
async def test_guesses_from_one_address_are_slowed_down(chat: Chat) -> None:
    """Whether the name exists or not; whoever has the cookie does not wait for those of the same address."""
    await sign_up(chat, "5.5.5.5")
    desk = device_of(await sign_in(chat, "1.1.1.1", **of_our_page(chat)))
    for address, name in (("6.6.6.6", "Ada"), ("7.7.7.7", "Nobody")):
        tries = [await sign_in(chat, address, "wrong horse", name) for _ in range(RATE + 3)]
        assert [answer.status for answer in tries] == [401] * RATE + [429] * 3
        assert int(tries[-1].headers["Retry-After"]) >= 1
        assert (await sign_in(chat, address)).status == 429
        assert (await sign_in(chat, address, **of_our_page(chat, desk))).status == 200
    tries = [await sign_in(chat, "1.1.1.1", "wrong horse", **of_our_page(chat, desk)) for _ in range(RATE + 1)]
    assert [answer.status for answer in tries] == [401] * RATE + [429]


@pytest.mark.options(trusted_proxies="127.0.0.1", signin_rate=1000)
async def test_known_devices_are_few_and_end_with_the_password_and_the_account(chat: Chat) -> None:
    """Each account keeps the last; a new password leaves the one it was set from."""
    token = await sign_up(chat, "1.1.1.1")
    for n in range(KNOWN_DEVICES + 3):
        assert (await sign_in(chat, f"1.1.2.{n}")).status == 200

    async def known() -> int:
        ((count,),) = await chat.server.database.fetch("select count(*) from known_devices")
        return int(count)

    assert await known() == KNOWN_DEVICES
    body = {"currentPassword": ADA["password"], "newPassword": "better horse"}
    headers = {**bearer(token), **of_our_page(chat), "X-Forwarded-For": "1.1.3.1"}
    changed = await chat.post("/api/auth/password", body, None, headers=headers)
    assert device_of(changed)
    assert await known() == 2  # the address and the cookie
    token = changed.data["token"]
    assert (await me(chat, token)).status == 200
    deleted = await chat.call("DELETE", "/api/auth/me", {"password": "better horse"}, None, headers=bearer(token))
    assert (deleted.status, await known()) == (204, 0)
