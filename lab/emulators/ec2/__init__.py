"""The lab's own EC2 and STS: a small fleet, or 100,000 instances; real paging rules, throttling, refusals, faults."""
