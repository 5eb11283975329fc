"""Tests over real HTTP; they mirror the contract."""
