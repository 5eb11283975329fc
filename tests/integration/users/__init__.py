"""Tests of chatrooms.users."""
