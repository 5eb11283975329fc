"""A user's own: the rooms joined, and one stream over all of them."""
