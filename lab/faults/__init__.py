"""Seeded faults on every flow: whatever goes wrong on the way, the tables end as those of an undisturbed run."""
