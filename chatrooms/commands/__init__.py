"""The commands of `python -m chatrooms`, one file a noun."""
