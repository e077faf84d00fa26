"""One record is one line of the log, whatever came from outside: the only place that sees to it.

Names, headers and other services' words stand in log messages. A line break in one must not look like a line of the
log's own, and a control character must not change what a terminal shows.
"""

import logging
import traceback


def on_one_line(text: str) -> str:
    """The text with everything that does not print as an escape."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


class OneLineRecord(logging.LogRecord):
    """A record whose message has no line break. A traceback stays in lines, each of them indented."""

    def getMessage(self) -> str:  # noqa: N802 - logging's own name
        message = on_one_line(super().getMessage())
        if self.exc_info and self.exc_info[0] is not None and not self.exc_text:
            # A formatter takes what is there. What the exception says may itself have lines.
            lines = "".join(traceback.format_exception(*self.exc_info)).rstrip("\n").splitlines()
            self.exc_text = "\n".join(f"  | {on_one_line(line)}" for line in lines)
        return message


def keep_log_lines_whole() -> None:
    """Have every logger of this process make such records, from now on."""
    logging.setLogRecordFactory(OneLineRecord)
