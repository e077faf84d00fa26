"""The settings documents of assets."""
