"""The lab's own EC2 and STS: what moto cannot show (scale, real paging rules, throttling, refusals, broken answers)."""
