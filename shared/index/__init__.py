"""The index: rows of the table `index`, partitioned for the questions that lists, searches and matching ask."""
