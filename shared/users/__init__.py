"""AuthRocket users become desk users: read from a realm, mapped, placed, and applied by the import engine."""
