"""AuthRocket's API: calls and what they answer."""
