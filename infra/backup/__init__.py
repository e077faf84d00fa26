"""Backup and restore of the desk's tables, as an operator's command. Passwords are in the vault, not in here."""
