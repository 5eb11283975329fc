"""Notifications: what programs tell one user, beside all rooms."""
