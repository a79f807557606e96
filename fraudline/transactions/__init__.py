"""What a transaction is, row by row and in columns, and what is none."""
