"""chatrooms: a Server-Sent-Events chat-room server."""

__version__ = "0.1.0"
