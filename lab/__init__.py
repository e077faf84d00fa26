"""The emulators, and what brings them up together. Never deployed."""
