"""Several streams over one connection."""
