"""EC2 instances become assets: mapped, typed, placed."""
