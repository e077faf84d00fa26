"""`python -m lab.emulators.event_grid`: try a webhook with Key Vault events."""

import sys

from lab.emulators.event_grid.command_line import main

if __name__ == "__main__":
    sys.exit(main())
