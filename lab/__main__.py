"""`make run`: bring up the whole desk on this machine, run its main job once, and stay up until Ctrl-C."""

import argparse
import signal
import sys
import threading

from lab.azurite import AzuriteError
from lab.desk import Choices, Desk, DeskError
from lab.emulators.functions_host.process import HostError
from lab.emulators.ports import PortTakenError
from lab.first_run import run_once
from lab.summary import describe, where_to_look


def parse_arguments() -> tuple[Choices, bool]:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the first pass; its exit status tells")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier starts stored")
    parser.add_argument("--host", choices=("lab", "func"), default="lab", help="func: Azure Functions Core Tools")
    parser.add_argument("--port", type=int, help="the desk's port; default 7071, or another when that is taken")
    parser.add_argument("--worker", choices=("runtime", "library"), help="of the lab's host")
    given = parser.parse_args()
    return Choices(host=given.host, port=given.port, fresh=given.fresh, worker=given.worker), given.once


def main() -> int:
    choices, once = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    is_up = False
    try:
        with Desk(choices) as desk:
            figures = run_once(desk)
            for line in describe(desk, figures):
                print(line)
            if not once:
                for line in where_to_look(desk):
                    print(line)
                is_up = True
                threading.Event().wait()
    except KeyboardInterrupt:
        print("stopped")
        return 0 if is_up else 130
    except (DeskError, HostError, AzuriteError, PortTakenError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    return 0


def _interrupt(*_: object) -> None:
    # Only the first counts: a second one must not break off the stopping of the parts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
