"""Providers of AI replies, behind the one interface of `base.py`."""
