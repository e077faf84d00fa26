"""The command line: serve a function app on loopback until Ctrl-C, and say plainly why it cannot be served."""

import argparse
import asyncio
import logging
import os
import sys
from datetime import timedelta
from pathlib import Path

from lab.emulators.functions_host import process
from lab.emulators.functions_host.errors import PortTakenError, StartError
from lab.emulators.functions_host.host import Options, run
from lab.emulators.functions_host.queues import LEASE
from lab.emulators.functions_host.worker import AppLoadError


def parse_arguments(arguments: list[str] | None = None) -> Options:
    """Exits with status 2 on arguments that cannot be understood."""
    parser = argparse.ArgumentParser(prog="python -m lab.emulators.functions_host", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the function app's directory; default: here")
    parser.add_argument("--port", type=int, help="default: Host.LocalHttpPort of the settings, then 7071; 0 takes any")
    parser.add_argument("--settings", type=Path, help="default: local.settings.json in the app's directory")
    parser.add_argument("--keys", type=Path, help="JSON file of keys, made when missing; default: new ones each time")
    parser.add_argument("--data", type=Path, default=Path(".lab/host"), help="where timers are remembered")
    parser.add_argument("--worker", choices=("runtime", "library"), help="default: runtime from Python 3.13 on")
    parser.add_argument(
        "--lease-seconds", type=float, default=LEASE.total_seconds(), help="how long a taken queue message stays hidden"
    )
    parser.add_argument(
        "--stop-seconds", type=float, default=Options.stop_seconds, help="how long running invocations are waited for"
    )
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    given = parser.parse_args(arguments)
    return Options(
        root=given.root,
        port=given.port,
        settings=given.settings,
        keys=given.keys,
        data=given.data,
        worker=given.worker,
        lease=timedelta(seconds=given.lease_seconds),
        stop_seconds=given.stop_seconds,
        stop_with_stdin=given.stop_with_stdin,
    )


def main() -> int:
    """Exit status: 0 stopped as asked, 1 the app or its settings are refused, 3 the port is taken."""
    options = parse_arguments()
    try:
        is_idle = asyncio.run(run(options))
    except PortTakenError as error:
        print(error, file=sys.stderr)
        return process.PORT_TAKEN
    except StartError as error:
        print(f"The host cannot start:\n{error}", file=sys.stderr)
        return process.REFUSED
    except AppLoadError as error:
        print(f"{error.stack_trace.rstrip()}\n" if error.stack_trace else "", end="", file=sys.stderr)
        print(
            f"The function app in {options.root} cannot be loaded, so none of its functions exists: {error}\n"
            "(In Azure this failure is silent: the app would simply show no functions.)",
            file=sys.stderr,
        )
        return process.REFUSED
    if not is_idle:
        # A thread cannot be stopped: leave without waiting for the one that still runs.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    return 0
