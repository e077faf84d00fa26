"""Table Storage: keys, limits, rows, transactions and pages. The only room that knows its rules."""
