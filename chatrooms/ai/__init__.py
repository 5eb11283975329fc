"""Providers of AI replies, behind the interface in `base.py`."""

from __future__ import annotations

from chatrooms.ai.base import Provider
from chatrooms.ai.offline import Offline
from chatrooms.errors import ConfigError
from chatrooms.options import Options


def provider(options: Options) -> Provider:
    """The provider that the options name. Raises ConfigError when its package is missing."""
    if options.ai == "offline":
        return Offline(options.ai_delay)
    try:
        from chatrooms.ai.openai import OpenAI
    except ImportError:
        raise ConfigError("--ai openai needs httpx: pip install 'chatrooms[ai]'") from None
    return OpenAI(
        options.ai_base_url, options.ai_model or "", options.ai_api_key or "",
        options.max_prompt_bytes, options.max_reply_bytes,
    )  # fmt: skip
