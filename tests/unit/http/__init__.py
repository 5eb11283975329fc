"""Tests of chatrooms.http."""
