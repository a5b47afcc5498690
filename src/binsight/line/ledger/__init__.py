"""The account of every piece: SQLite by default, PostgreSQL by its address."""
