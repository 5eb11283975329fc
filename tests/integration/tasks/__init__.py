"""Tests of chatrooms.tasks."""
