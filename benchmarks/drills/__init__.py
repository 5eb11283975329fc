"""Failure drills: real servers under real load that are killed, starved and cut off; see docs/drills.md."""
