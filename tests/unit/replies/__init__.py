"""Tests of chatrooms.replies."""
