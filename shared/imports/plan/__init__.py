"""What an import is to do: pure decisions over what was read and what is stored."""
