"""Everything behind the triggers: features, and the rooms they share."""
