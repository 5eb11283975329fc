"""Starts the server: `python run.py`. The same as `python -m chatrooms serve`."""

import sys

from chatrooms.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
