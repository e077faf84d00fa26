"""The type of a queue output that sends several messages."""

from typing import List  # noqa: UP035 - see below

import azure.functions as func

# The worker's runtime library refuses to load a function whose output says `list[str]`: it only knows typing.List.
QueueMessages = func.Out[List[str]]  # noqa: UP006
