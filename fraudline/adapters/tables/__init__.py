"""The DynamoDB tables, one module each; `keys` says how they are made."""
