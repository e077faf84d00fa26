"""`make bench`: figures that anyone can repeat, each beside a floor or a peer measured in the same run. Never deployed."""
