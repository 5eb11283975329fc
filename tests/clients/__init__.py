"""Clients that people really use, dropped and resumed."""
