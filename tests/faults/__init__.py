"""Real server processes that are killed, starved, cut off and run over."""
