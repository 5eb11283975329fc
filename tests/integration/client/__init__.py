"""Tests of chatrooms.client."""
