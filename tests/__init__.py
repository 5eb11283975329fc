"""The tests: `unit` opens no socket, `integration` speaks real HTTP."""
