"""Tests of chatrooms.streams."""
