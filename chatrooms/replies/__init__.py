"""AI replies: jobs that outlive the connection that asked for them."""
