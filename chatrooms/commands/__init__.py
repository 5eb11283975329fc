"""The commands of `python -m chatrooms`, one file per noun."""
