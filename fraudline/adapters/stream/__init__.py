"""Kinesis: producing, and scoring shard by shard, batch by batch, what arrives."""
