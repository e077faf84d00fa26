"""The sources of imports. One more is one more line."""

from shared.assets.registration import EC2
from shared.imports.registration import RegisteredSource
from shared.users.registration import AUTHROCKET

SOURCES: tuple[RegisteredSource, ...] = (
    EC2,
    AUTHROCKET,
)
