"""Durable state: the database adapter, its migrations, the log, and one file of queries per noun."""
