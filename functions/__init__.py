"""Triggers: translate in, call one service method, translate out."""
