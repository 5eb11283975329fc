"""The one table of options."""

from __future__ import annotations

from typing import Any

import pytest

from chatrooms import option_types, options
from chatrooms.cli import main
from chatrooms.errors import ConfigError
from chatrooms.options import OPTIONS, Option, Options

BAD: dict[Any, list[str]] = {
    option_types.whole: ["-1", "x", "1.5", "", "²", "9" * 5000],
    option_types.port: ["65536", "-1", "http", ""],
    option_types.seconds: ["-1", "x", "nan", "inf", "1e10", ""],
    option_types.flag: ["maybe", "2", ""],
    option_types.hosts: ["", " , ", "https://a.example", "a.example:443", "a.example, *", "[::1]:80"],
    option_types.networks: ["10.0.0.0/33", "nonsense", "1.2.3"],
}
CASES = [(option, value) for option in OPTIONS for value in BAD.get(option.kind, [])]
CASES += [(option, "nonsense") for option in OPTIONS if "one_of" in option.kind.__qualname__]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_has_help_and_a_plain_name(option: Option) -> None:
    """The table is all there is."""
    assert option.help
    assert option.name == option.name.lower().strip("-")
    assert option.variable == "CHATROOMS_" + option.name.upper().replace("-", "_")


def test_names_are_unique() -> None:
    """No option hides another."""
    assert len({option.attribute for option in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_help_shows_every_option(option: Option) -> None:
    """`--help` comes from the table."""
    assert f"--{option.name} " in options.parser("x", "y").format_help()


def test_flag_beats_variable_beats_default() -> None:
    """In this order."""
    environ = {"CHATROOMS_PORT": "5000"}
    assert Options({"port": "6000"}, environ).port == 6000
    assert Options({}, environ).port == 5000
    assert Options({}, {}).port == 4000


def test_overrides_may_be_values() -> None:
    """As `make_app` gets them."""
    made = Options({"heartbeat": 0.5, "allow_guests": False, "allowed_origins": ["http://a", "http://b"]}, {})
    assert (made.heartbeat, made.guests, made.allowed_origins) == (0.5, False, ("http://a", "http://b"))


def test_hosts_are_kept_as_they_are_compared() -> None:
    assert Options({"allowed_hosts": "Chat.Example., [::1]"}, {}).allowed_hosts == ("chat.example", "::1")


@pytest.mark.parametrize(("option", "value"), CASES, ids=lambda part: getattr(part, "name", str(part)[:20]))
def test_bad_value_stops_the_start_with_one_line(
    option: Option, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a flag and as a variable: exit status 2, and the line names it."""
    assert main(["serve", f"--{option.name}={value}"]) == 2
    flagged = capsys.readouterr().err
    monkeypatch.setenv(option.variable, value)
    assert main(["serve"]) == 2
    from_environment = capsys.readouterr().err
    assert flagged.count("\n") == from_environment.count("\n") == 1
    assert f"--{option.name}" in flagged
    assert option.variable in from_environment


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--port"], ["stray"]])
def test_unknown_flag_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Not the whole usage."""
    with pytest.raises(SystemExit) as stopped:
        main(["serve", *arguments])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("given", [{"nonsense": 1}, {"ssl_cert": "a"}, {"ssl_key": "a"}, {"heartbeat": "often"}])
def test_bad_override_is_a_config_error(given: dict[str, Any]) -> None:
    """`make_app` says what is wrong."""
    with pytest.raises(ConfigError):
        Options(given, {})


def test_value_of_a_secret_is_never_shown() -> None:
    """A complaint may end up in a log."""
    for option in OPTIONS:
        if option.name in ("secret", "ai-api-key"):
            assert option.secret


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_guests_are_allowed_by_default_only_on_loopback(address: str, loopback: bool) -> None:
    """What others can reach is closed until somebody opens it."""
    made = Options({"address": address}, {})
    assert (made.loopback, made.guests) == (loopback, loopback)
    assert made.guests_a_minute == (300 if loopback else 30)
    assert Options({"address": address, "allow_guests": "yes"}, {}).guests


@pytest.mark.parametrize(
    ("given", "own_users", "development"),
    [
        ({}, False, True),
        ({"address": "::1"}, False, True),
        ({"trusted_proxies": ""}, False, True),
        ({"address": "0.0.0.0"}, False, False),
        ({"trusted_proxies": "127.0.0.1"}, False, False),
        ({"allowed_hosts": "chat.example"}, False, False),
        ({"allowed_hosts": "localhost"}, False, False),
        ({}, True, False),
    ],
)
def test_development_defaults_hold_only_where_nobody_else_is_served(
    given: dict[str, str], own_users: bool, development: bool
) -> None:
    """A loopback address says little where a proxy stands before it, or a program serves its own users."""
    made = Options(given, {}, own_users)
    assert made.development == made.guests == development
    assert (made.guests_a_minute, made.signins_a_minute) == ((300, 300) if development else (30, 10))
    assert made.which_defaults.startswith("development" if development else "production")


@pytest.mark.parametrize("given", [{}, {"allowed_hosts": "chat.example"}])
def test_option_that_is_given_beats_both_defaults(given: dict[str, str]) -> None:
    """Development or not; and the line about defaults leaves it out."""
    made = Options({**given, "allow_guests": "no", "signin_rate": 7, "reply_rate": 0}, {})
    assert (made.guests, made.signins_a_minute, made.replies_a_minute) == (False, 7, 0)
    assert "signin-rate" not in made.which_defaults
    assert "guest-rate" in made.which_defaults


def test_line_about_defaults_names_every_option_that_has_two() -> None:
    """Those whose help says what holds in development."""
    named = Options({}, {}).which_defaults.partition(": ")[2].split(", ")
    assert set(named) == {option.name for option in OPTIONS if "development" in option.help}
