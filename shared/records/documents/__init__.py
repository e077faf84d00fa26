"""The settings documents that assets and users share."""
