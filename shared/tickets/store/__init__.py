"""The rows of tickets and of the objects that they are about."""
