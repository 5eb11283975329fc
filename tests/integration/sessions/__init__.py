"""Tests of chatrooms.sessions."""
