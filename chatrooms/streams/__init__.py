"""The core: topics over the log, and streams that read them."""
