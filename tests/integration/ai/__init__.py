"""Tests of chatrooms.ai."""
