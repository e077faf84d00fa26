"""`python -m lab.emulators.functions_host --root <app directory>`: serve a function app on loopback until Ctrl-C."""

import os
import sys

# aiohttp's parser in C refuses a method in lower case, which the real host takes. Read when aiohttp is imported.
os.environ["AIOHTTP_NO_EXTENSIONS"] = "1"


def main() -> int:
    from lab.emulators.functions_host.command_line import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
