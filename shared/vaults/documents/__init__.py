"""The settings documents of credential stores and credentials."""
