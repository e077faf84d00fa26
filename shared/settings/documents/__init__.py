"""One module per kind of settings document."""
