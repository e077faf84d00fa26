"""`./lab/do`: experiments on a running desk, one short command each. Each says what it did and where to look."""
