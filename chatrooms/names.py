"""What names and ids may look like (the rules of the wire contract, section 1). Pure.

Every function returns the normalised value or raises `BadRequest`.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from functools import lru_cache
from importlib import resources

from chatrooms.errors import BadRequest, TooLarge

MAX_ID = 64
MAX_USERNAME = 32
MAX_USER_ID = 255
MAX_CLIENT_MESSAGE_ID = 255
SPELLINGS = 4  # characters that may become one when a name is normalised
MAX_EMAIL = 254
MAX_TITLE = 100
MAX_INTENT = 255
MAX_INTEGER = 2**53 - 1  # the largest that JavaScript holds exactly

_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_PLAIN_NAME = re.compile(r"[!-~](?:[ -~]{0,30}[!-~])?\Z")
_ID_PUNCTUATION = frozenset("._-:")
# Embeddings, overrides and isolates reorder the text around them on screen (Unicode TR9).
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Invisible: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties), and blanks that are not spaces.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_BLANK = re.compile("[\u2800\U0001d159]")  # the empty pattern of Braille, the null note
_HAIR = re.compile("(?<!\\s)\u200a(?!\\s)")  # a hair space by itself: invisible


def room_id(value: str | None) -> str:
    """A room id: letters, digits, `. _ - :` and inner spaces; 1–64 characters, NFC."""
    return _id(value, "roomId", spaces=True)


def client_id(value: str | None) -> str:
    """A client id: letters, digits and `. _ - :`; 1–64 characters, NFC."""
    return _id(value, "clientId")


def session_id(value: str | int | None) -> str:
    """A session id: as a client id, or a number, since many programs number theirs."""
    return _id(_digits(value, "sessionId"), "sessionId")


def robot_id(value: str | int) -> str:
    """A robot's id, by the same rules."""
    return _id(_digits(value, "robotId"), "robotId")


def intent(value: str) -> str:
    """A program's reading of a message, opaque: at most 255 characters, no NUL."""
    if len(value) > MAX_INTENT or "\0" in value:
        raise BadRequest("bad-field", f"intent must have at most {MAX_INTENT} characters, and no NUL.")
    return value


def task_id(value: str | None) -> str:
    """A task's id: letters, digits and `. _ - :`; 1–64 characters, NFC."""
    return _id(value, "task_id")


def username(value: str | None) -> str:
    """A display name: trimmed, NFC, 1–32 characters, visible, no control or bidi override."""
    if value is None:
        raise BadRequest("bad-field", "username is missing.")
    if _PLAIN_NAME.match(value):
        return value
    name = measured(value)
    if not 1 <= len(name) <= MAX_USERNAME:
        raise BadRequest("bad-field", f"username must have 1 to {MAX_USERNAME} characters.")
    if any(_unprintable(c) for c in name):
        raise BadRequest("bad-field", "username contains a control character.")
    if not any(_visible(c) for c in name):
        raise BadRequest("bad-field", "username has no visible character.")
    return name


def title(value: str) -> str:
    """The title of a room: trimmed, NFC, 1–100 characters, visible, no control or bidi override."""
    title = _normalized(value.strip(), MAX_TITLE)
    if not 1 <= len(title) <= MAX_TITLE:
        raise BadRequest("bad-field", f"title must have 1 to {MAX_TITLE} characters.")
    if any(_unprintable(c) for c in title) or not any(_visible(c) for c in title):
        raise BadRequest("bad-field", "title contains a control character, or no visible one.")
    return title


def user_id(value: object) -> str:
    """A user id as text: 1–255 characters, given as text or as an integer.

    Raises BadRequest for any other type, NUL, control characters and lone surrogates.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_USER_ID:
        raise BadRequest("bad-field", f"userId must have 1 to {MAX_USER_ID} characters.")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise BadRequest("bad-field", "userId contains a control character.")
    return value


def key(value: str | None) -> str:
    """The name of a subscription on its connection, as a client id."""
    return _id(value, "key")


def new_client_id() -> str:
    """A client id for a caller that brought none."""
    return secrets.token_urlsafe(9)


def client_message_id(value: str) -> str:
    """A client's own id for a message, opaque: 1–255 characters without control characters."""
    if not 1 <= len(value) <= MAX_CLIENT_MESSAGE_ID:
        raise BadRequest("bad-field", f"clientMessageId must have 1 to {MAX_CLIENT_MESSAGE_ID} characters.")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise BadRequest("bad-field", "clientMessageId contains a control character.")
    return value


def message_text(value: str, max_bytes: int) -> str:
    """The text of a message, unchanged: not blank, no NUL, at most `max_bytes` of UTF-8 (0: any).

    Raises BadRequest, or TooLarge above the limit.
    """
    if not value.strip():
        raise BadRequest("empty-message", "The message is empty.")
    if "\0" in value:
        raise BadRequest("bad-field", "The message contains a NUL character.")
    if max_bytes and len(value) * 4 > max_bytes and len(value.encode()) > max_bytes:
        raise TooLarge("too-large", f"The message is longer than {max_bytes} bytes.")
    return value


def whole_number(value: str, field: str, least: int, most: int) -> int:
    """A whole number in decimal digits, in bounds."""
    if not value.isascii() or not value.isdigit() or len(value) > 15 or not least <= int(value) <= most:
        raise BadRequest("bad-field", f"{field} must be a whole number from {least} to {most}.")
    return int(value)


def measured(name: str) -> str:
    """A display name in NFC; only the beginning of one that is too long."""
    return _normalized(name.strip(), MAX_USERNAME)


def shown(text: str) -> str:
    """A text without invisible characters, trimmed, with single plain spaces."""
    return " ".join(_HAIR.sub("", _BLANK.sub(" ", _IGNORABLE.sub("", text))).split())


def same_name(a: str, b: str) -> bool:
    """Whether two display names are the same to a person: NFC, trimmed, case folded."""
    return folded(a) == folded(b)


def email(value: str) -> str:
    """An email address, folded: one @ with something on both sides, at most 254 characters (RFC 5321).

    Only a letter to it can tell whether it exists. Raises BadRequest.
    """
    address = value.strip()[: MAX_EMAIL + 1].casefold()
    name, _, domain = address.partition("@")
    unfit = any(_unprintable(c) or c.isspace() for c in address)
    if not name or not domain or "@" in domain or unfit or len(address) > MAX_EMAIL:
        raise BadRequest("bad-field", "That is not an email address.")
    return address


def folded(name: str) -> str:
    """A form shared by all display names that are the same to a person."""
    return unicodedata.normalize("NFC", measured(name).casefold())


def _normalized(text: str, most: int) -> str:
    """The text in NFC; if it is sure to exceed `most`, only as much of it as shows that.

    Normalising takes time that grows with the square of the marks on one letter: 20 s for 200 KB.
    """
    return unicodedata.normalize("NFC", text) if len(text) <= SPELLINGS * most else text[: SPELLINGS * most]


def _id(value: str | None, field: str, *, spaces: bool = False) -> str:
    if value is None or value == "":
        raise BadRequest("bad-id", f"{field} is missing.")
    if _PLAIN_ID.match(value):
        return value
    value = _normalized(value, MAX_ID)
    if len(value) > MAX_ID or not all(_id_character(c, spaces) for c in value) or value != value.strip():
        allowed = "letters, digits, . _ - :" + (" and inner spaces" if spaces else "")
        raise BadRequest("bad-id", f"{field} must be 1 to {MAX_ID} characters of {allowed}.")
    return value


def _digits(value: str | int | None, field: str) -> str | None:
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise BadRequest("bad-id", f"{field} is too large a number.")
    return str(value) if isinstance(value, int) else value


def _id_character(c: str, spaces: bool) -> bool:
    if c in _ID_PUNCTUATION or (spaces and c == " "):
        return True
    # Marks (M*) belong to the letters of many scripts, as the vowel signs of Devanagari.
    category = unicodedata.category(c)
    return (category[0] in "LM" or category == "Nd") and not _IGNORABLE.match(c)


def _unprintable(c: str) -> bool:
    return c in _BIDI_CONTROLS or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")


def _visible(c: str) -> bool:
    return unicodedata.category(c)[0] not in "CZM" and not _IGNORABLE.match(c) and not _BLANK.match(c)


SPOKEN = ("assistant", "system")  # names that the server itself uses
# Names that would seem to speak for it.
RESERVED = (
    *SPOKEN, "server", "admin", "administrator", "root", "moderator", "operator", "support", "security", "official",
    "chatrooms", "deleted user",
)  # fmt: skip

_DOT_OF_ITS_OWN = re.compile("(?<=[ij])\u0307")  # drawn in place of the letter's own dot


def skeletons(name: str) -> tuple[str, ...]:
    """The one or two skeletons of a display name: never equal, and never longer than some hundred characters."""
    text = unicodedata.normalize("NFKC", shown(measured(name)))
    # Format, private and unassigned characters show nothing, or a box at best.
    text = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    return tuple(dict.fromkeys((_skeleton(text), _skeleton(text.casefold()))))


def alike(one: str, other: str) -> bool:
    """Whether two display names look alike to a person."""
    return not set(skeletons(one)).isdisjoint(skeletons(other))


def is_reserved(name: str) -> bool:
    """Whether a display name looks like a name that speaks for the server."""
    return not _skeletons_of(RESERVED).isdisjoint(skeletons(name))


def is_spoken(name: str) -> bool:
    """Whether a display name looks like a name that the server itself uses."""
    return not _skeletons_of(SPOKEN).isdisjoint(skeletons(name))


def _skeleton(text: str) -> str:
    """What the text looks like in any case: a character's look-alike may have a lower-case form of its own."""
    table = _table()
    seen = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).translate(table)).casefold()
    seen = _DOT_OF_ITS_OWN.sub("", unicodedata.normalize("NFKD", seen).translate(table))
    return shown(unicodedata.normalize("NFC", seen))


@lru_cache(2)
def _skeletons_of(reserved: tuple[str, ...]) -> frozenset[str]:
    """Includes capitals, where `l` is taken for `I`."""
    written = (*reserved, *(name.upper() for name in reserved))
    return frozenset(skeleton for name in written for skeleton in skeletons(name))


@lru_cache(1)
def _table() -> dict[int, str]:
    """Each character and what it looks like. Read on first use, in some 3 ms."""
    lines = resources.files("chatrooms").joinpath("lookalikes.txt").read_text("utf-8").split("\n")
    rows = (line.partition("\t") for line in lines if "\t" in line)
    return {ord(character): prototype for prototype, _, characters in rows for character in characters}
