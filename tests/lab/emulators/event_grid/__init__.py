"""Tests of the lab's Event Grid."""
