"""How many there are of what: a row of counts a partition, copied upward to the rows that a summary reads."""
