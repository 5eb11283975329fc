"""Measures chatrooms against its peers; see README.md."""
