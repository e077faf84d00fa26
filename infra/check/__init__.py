"""Holds the Bicep files against the code and against a list of facts, without the Bicep compiler."""
