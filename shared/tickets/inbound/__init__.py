"""How observations of vault objects arrive: webhook, queue, dead letters, sweep, quarantine."""
