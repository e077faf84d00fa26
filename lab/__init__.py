"""The local stand-ins and the local host. Never deployed."""
