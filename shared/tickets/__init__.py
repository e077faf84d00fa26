"""Tickets from Key Vault: what events and the sweep say about an object becomes the tickets a desk works on."""
