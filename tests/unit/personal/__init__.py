"""Tests of chatrooms.personal."""
