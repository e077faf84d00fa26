"""The documents that operators edit: their models, validation and storage."""

import os

# Else pydantic looks through every installed distribution for plugins, of which there are none: with a worker's disk
# far away, that is a good part of a cold start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
