"""The web console: its files, and the list by which they are served."""
