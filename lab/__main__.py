"""`make run`: bring up the whole desk on this machine, run its main job once, and stay up until Ctrl-C."""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lab.azurite import AzuriteError
from lab.desk import Choices, Desk, DeskError
from lab.emulators.functions_host.process import HostError
from lab.emulators.ports import PortTakenError
from lab.experiments.catalogue import carry_out
from lab.experiments.door import Door
from lab.first_run import run_through
from lab.running import AlreadyUpError
from lab.summary import Paint, describe, where_to_look


def port(text: str) -> int:
    """A port that a program may listen on."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: choose a number from 1 to 65535, such as PORT=7072")
    return int(text)


def parse_arguments(arguments: list[str] | None = None) -> tuple[Choices, bool]:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the first pass; its exit status tells")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier starts stored")
    parser.add_argument("--host", choices=("lab", "func"), default="lab", help="func: Azure Functions Core Tools")
    parser.add_argument("--port", type=port, help="the desk's port; default 7071, or another when that is taken")
    parser.add_argument("--worker", choices=("runtime", "library"), help="of the lab's host")
    parser.add_argument("--folder", type=Path, help="where it keeps what it stores; default .lab")
    parser.add_argument("--any-ports", action="store_true", help="take free ports; none of the usual ones")
    given = parser.parse_args(arguments)
    choices = Choices(
        host=given.host, port=given.port, fresh=given.fresh, worker=given.worker, any_ports=given.any_ports
    )
    return (Choices(**{**vars(choices), "folder": given.folder}) if given.folder else choices), given.once


def main(arguments: list[str] | None = None) -> int:
    """The exit status: with --once, 1 when something went wrong on the way."""
    choices, once = parse_arguments(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    is_up = False
    try:
        with Desk(choices, _progress()) as desk:
            paint = Paint()
            figures = run_through(desk, desk.say)
            for line in describe(desk, figures, paint):
                print(line)
            if once:
                return 1 if figures.troubles else 0
            with Door(desk.door_port(), lambda words: carry_out(desk, words)) as door:
                desk.running.publish(door=door.url, door_key=door.key)
                for line in where_to_look(desk, paint):
                    print(line, flush=True)
                is_up = True
                threading.Event().wait()
    except KeyboardInterrupt:
        print("stopped")
        return 0 if is_up else 130
    except AlreadyUpError as other:
        return _tell_already_up(other, choices)
    except (DeskError, HostError, AzuriteError, PortTakenError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    return 0


def _progress() -> Callable[[str], object]:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {line}", flush=True)

    return say


def _tell_already_up(other: AlreadyUpError, choices: Choices) -> int:
    if other.url is None:
        print(f"make run: {other} (process {other.process_id}): wait for it.", file=sys.stderr)
        return 1
    print(f"The desk is up already at {other.url} (process {other.process_id}).")
    if choices.fresh or (choices.port and not other.url.endswith(f":{choices.port}")):
        print("To start it otherwise, stop that one first: press Ctrl-C in its terminal.", file=sys.stderr)
        return 1
    print("./lab/do lists what there is to do; Ctrl-C in its terminal stops it.")
    return 0


def _interrupt(*_: object) -> None:
    # Only the first counts: a second one must not break off the stopping of the parts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
