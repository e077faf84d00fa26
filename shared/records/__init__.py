"""The record store that assets and users share: rows, fields, edits, history, lists."""
