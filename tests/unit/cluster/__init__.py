"""Tests of chatrooms.cluster."""
