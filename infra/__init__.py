"""The infrastructure: Bicep, its checks, and the operator's commands. Never deployed with the app."""
