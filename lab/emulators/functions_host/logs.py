"""What is printed: the host's own lines to standard output, log records with their function to standard error."""

import logging
import os
import sys
from collections.abc import Callable

# Their INFO is a line or more for every request; their warnings stay.
_QUIET = ("azure", "aiohttp", "asyncio", "urllib3", "botocore", "boto3", "msal")


def say(line: str) -> None:
    """One line of the host itself."""
    print(line, flush=True)


class _FunctionNames(logging.Filter):
    """Adds the running function to each record."""

    def __init__(self, invocation_id: Callable[[], str | None], names: dict[str, str]) -> None:
        super().__init__()
        self._invocation_id = invocation_id
        self._names = names

    def filter(self, record: logging.LogRecord) -> bool:
        invocation_id = self._invocation_id() or ""
        name = self._names.get(invocation_id, "")
        record.function = f"{name}({invocation_id[:8]})" if name else "-"
        return True


def set_up_logging(invocation_id: Callable[[], str | None], names: dict[str, str]) -> None:
    """Send records of INFO and above to standard error. `names` maps running invocation ids to function names."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_FunctionNames(invocation_id, names))
    handler.setFormatter(
        logging.Formatter("[%(asctime)s] %(levelname)s %(function)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    for other in list(root.handlers):
        root.removeHandler(other)
    root.addHandler(handler)
    is_debug = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING", "").casefold() in ("1", "true")
    root.setLevel(logging.DEBUG if is_debug else logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
