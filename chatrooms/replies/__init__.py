"""AI replies: jobs that outlive their connection."""
