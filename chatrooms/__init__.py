"""chatrooms: a Server-Sent-Events chat-room server.

For programs that embed it: `from chatrooms import Chatrooms, Note, identify, make_app`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chatrooms.options import VERSION as __version__

if TYPE_CHECKING:
    from chatrooms.app import Chatrooms, identify, make_app
    from chatrooms.identity import Identity
    from chatrooms.personal.notifications import Note

__all__ = ("Chatrooms", "Identity", "Note", "__version__", "identify", "make_app")

_WHERE = (
    ("Chatrooms", "chatrooms.app"),
    ("identify", "chatrooms.app"),
    ("make_app", "chatrooms.app"),
    ("Identity", "chatrooms.identity"),
    ("Note", "chatrooms.personal.notifications"),
)


def __getattr__(name: str) -> Any:
    """Imports names on first use: the parts below know nothing of those above."""
    for known, module in _WHERE:
        if name == known:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
