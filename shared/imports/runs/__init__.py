"""What a run did: its parts, counts, errors row by row, plans of previews, and the lease against two at once."""
