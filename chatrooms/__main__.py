"""`python -m chatrooms …` is the command line."""

import sys

from chatrooms.cli import main

sys.exit(main())
