"""`make attack`: attacks on a desk of the lab, each of which must be refused.

Loopback only, bounded in count and time.
"""
