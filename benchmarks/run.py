"""Compares chatrooms with its peers on this machine, in one command: `python benchmarks/run.py [--quick]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # Python adds only the script's own folder

from benchmarks.suite import main

if __name__ == "__main__":
    sys.exit(main())
