"""Why the host cannot start, in one sentence for a person."""


class StartError(Exception):
    """The app or its settings are refused; the message names the function or file and says what is wrong."""


class PortTakenError(StartError):
    """The port is in use; the message names it."""
