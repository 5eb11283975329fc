"""Message sessions (section 5): conversations by id, which any program may write to through the database."""
