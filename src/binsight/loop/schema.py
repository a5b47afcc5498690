"""The tables of the queue, `queue.sqlite3`."""

from __future__ import annotations

from typing import Final

__all__ = ["SCHEMA", "VERSION"]

VERSION: Final = 4
"""Of the loop's files; one of an earlier version gets the tables that it lacks."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS items (
    id TEXT PRIMARY KEY, at TEXT NOT NULL, model TEXT NOT NULL, decision TEXT NOT NULL, category TEXT NOT NULL,
    confidence REAL NOT NULL, chance_random REAL NOT NULL, chance_review REAL NOT NULL, is_random INTEGER NOT NULL,
    is_review INTEGER NOT NULL, is_correction INTEGER NOT NULL, is_disagreement INTEGER NOT NULL, split TEXT NOT NULL,
    is_double INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receipts (receipt TEXT PRIMARY KEY, item TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
    id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL, client TEXT NOT NULL, corrected TEXT NOT NULL,
    predicted TEXT NOT NULL, at TEXT NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS candidates (
    item TEXT PRIMARY KEY, at TEXT NOT NULL, model TEXT NOT NULL, decision TEXT NOT NULL, category TEXT NOT NULL,
    confidence REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    item TEXT NOT NULL, labeller TEXT NOT NULL, until TEXT NOT NULL, PRIMARY KEY (item, labeller)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT UNIQUE, item TEXT NOT NULL, labeller TEXT NOT NULL,
    at TEXT NOT NULL, kind TEXT NOT NULL, answer TEXT, mode TEXT NOT NULL, ms INTEGER, is_gold INTEGER NOT NULL,
    saw TEXT NOT NULL, undoes INTEGER
);
CREATE INDEX IF NOT EXISTS events_of_item ON events (item);
CREATE TABLE IF NOT EXISTS tombstones (mark TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secret (key BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, began TEXT NOT NULL, ended TEXT,
    outcome TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS compared (
    position INTEGER PRIMARY KEY AUTOINCREMENT, trial TEXT NOT NULL, photo BLOB NOT NULL, item TEXT, old TEXT NOT NULL,
    new TEXT NOT NULL, UNIQUE (trial, photo)
);
CREATE INDEX IF NOT EXISTS compared_of_trial ON compared (trial, position, item);
"""
