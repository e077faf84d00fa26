"""What is seen across the features: the dashboard's counts, expiries as a calendar, readiness, exports."""
