"""The tables in memory, where tests look for them; the lab's fault driver uses the same."""

from lab.fakes.tables import KilledError, MemoryTable, MemoryTables, WatchedTables

__all__ = ["KilledError", "MemoryTable", "MemoryTables", "WatchedTables"]
