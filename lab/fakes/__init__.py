"""Stand-ins in memory: quick, deterministic, and held to the real thing by contract tests."""
