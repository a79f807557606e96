"""Transactions that people bring: found, read, and their refused rows kept."""
