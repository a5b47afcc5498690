"""Millions of photos: a plan of shards, a commit rule, and engines of others that do the work.

A job is a folder, here or in an object store. Its plan (`plan`) says once and for all which photo belongs to which
shard; a shard's Parquet file under its fixed name is the only proof that it is done (`shard`). So whatever dies, the
same command goes on, and no photo has two rows. An engine (`engines`) maps `classify_shard` over shards.
"""
