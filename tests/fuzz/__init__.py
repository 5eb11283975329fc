"""A hundred thousand requests that nobody means well with."""
