"""What people do with tickets: list, open, edit."""
