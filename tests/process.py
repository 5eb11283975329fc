"""A real server process."""

from benchmarks.server_process import ROOT, SECRET, ServerProcess, token

__all__ = ["ROOT", "SECRET", "ServerProcess", "token"]
