"""What follows elsewhere from a change: written with it, carried out after it, any number of times with one outcome."""
