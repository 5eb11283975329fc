"""Tests of chatrooms.log."""
