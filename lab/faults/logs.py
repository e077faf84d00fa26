"""What the product and its libraries log while a scenario is played, kept as it would be written."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Self

PRODUCT = ("shared", "functions")
# The client libraries, as far as they are let through: warnings and worse.
LIBRARIES = ("azure", "msal", "urllib3", "botocore")


class KeptLogs(logging.Handler):
    """Within it, the product's logs, and perhaps its libraries', come here and go nowhere else."""

    def __init__(self, now: Callable[[], datetime], *, libraries: bool = False) -> None:
        super().__init__(logging.INFO)
        self._levels = dict.fromkeys(PRODUCT, logging.INFO)
        if libraries:
            self._levels |= dict.fromkeys(LIBRARIES, logging.WARNING)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.lines: list[str] = []
        self._now = now
        self._stack = ExitStack()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self._now():%d %H:%M:%S} {self.format(record)}")

    def __enter__(self) -> Self:
        for name, level in self._levels.items():
            logger = logging.getLogger(name)
            self._stack.callback(_restore, logger, logger.level, logger.propagate)
            logger.setLevel(level)
            logger.propagate = False
            logger.addHandler(self)
            self._stack.callback(logger.removeHandler, self)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _restore(logger: logging.Logger, level: int, propagate: bool) -> None:
    logger.setLevel(level)
    logger.propagate = propagate
