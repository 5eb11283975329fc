"""Tasks: long work with progress that anyone with the right may watch, and the export of a room."""
