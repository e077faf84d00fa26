"""What tickets are and when they open and end: pure, without storage or settings."""
