"""Credential stores, identities and the secrets that are read through them."""
