"""Tests of chatrooms.commands."""
