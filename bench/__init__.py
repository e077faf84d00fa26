"""`make bench`: figures that anyone can repeat, each beside a floor measured in the same run. Never deployed."""
