"""Prints docs/options.md from the table in chatrooms/options.py: python .ci/options.py > docs/options.md"""

from chatrooms.options import OPTIONS

INTRO = """\
# Options

Every option is a flag, `--name`, and an environment variable, `CHATROOMS_NAME`, with underscores in place of dashes
(`CHATROOMS_LEAVE_GRACE=5`). The flag takes precedence. Times are in seconds, fractions allowed; 0 turns a limit off.
Pass secrets as variables: any user of the machine can see flags. `chatrooms serve --help` prints the same list.

## Development and production defaults

Some defaults are open on your own machine and closed everywhere else. The development defaults apply when all of
these hold:

- the server listens on a loopback address only;
- neither `--trusted-proxies` nor `--allowed-hosts` is given;
- no embedding program authenticates the requests (`authenticate` in [embedding.md](embedding.md)).

Guests may then come in, sign-in limits are generous, a message session belongs to its first user, and pages served
from localhost may call the API. At startup the server logs one line that says which set of defaults applies and to
which options. An option you set overrides either default.

**Behind a proxy on the same machine**, set `--trusted-proxies` or `--allowed-hosts`. Without them everyone who comes
through the proxy gets the development defaults.
"""

# Each section starts with this option.
SECTIONS = {
    "port": "Server and database",
    "secret": "Tokens",
    "allow-guests": "Access",
    "heartbeat": "Streams, rooms and messages",
    "ai": "AI replies",
    "max-tasks-per-user": "Tasks and exports",
}


def main() -> None:
    """Writes to standard output; the file in docs/ must be equal to it (tests/unit/test_docs.py)."""
    print(INTRO, end="")
    for option in OPTIONS:
        if option.name in SECTIONS:
            print(f"\n## {SECTIONS[option.name]}\n\n| option | default | meaning |\n|---|---|---|")
        value = ",".join(option.default) if isinstance(option.default, tuple) else option.default
        default = "" if value in (None, "") else f"`{value}`".replace(".0`", "`")
        print(f"| `--{option.name}` | {default} | {option.help} |")


if __name__ == "__main__":
    main()
