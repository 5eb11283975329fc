"""The doorbell between nodes."""
