"""The documents that operators edit: their models, validation and storage."""
