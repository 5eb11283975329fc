"""Tests of chatrooms.rooms."""
