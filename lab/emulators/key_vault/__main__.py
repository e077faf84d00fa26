"""python -m lab.emulators.key_vault: the vaults as a process. Prints one JSON line when everything answers."""

import argparse
import json
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

from lab.emulators.key_vault.lab import VaultLab, load_document
from lab.emulators.key_vault.state import LabError
from lab.emulators.ports import PortTakenError

_FLEET = Path(__file__).with_name("fleet.yaml")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.emulators.key_vault", description=__doc__)
    parser.add_argument("--config", type=Path, default=_FLEET, help="the lab as YAML or JSON; default: fleet.yaml here")
    parser.add_argument("--port", type=int, help="of the first vault (default: any free one)")
    parser.add_argument("--folder", type=Path, default=Path(".lab/tls"), help="keeps the certificate authority")
    parser.add_argument("--anchor", type=datetime.fromisoformat, help="when relative times are counted from (ISO 8601)")
    parser.add_argument("--ports", type=json.loads, default={}, help='of all services, as JSON: {"control": 7071}')
    parser.add_argument("--end-with-parent", action="store_true", help="end when standard input closes")
    chosen = parser.parse_args(arguments)
    if chosen.anchor is not None and chosen.anchor.tzinfo is None:
        parser.error("--anchor needs a zone, such as 2026-11-01T00:00:00Z")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    if chosen.end_with_parent:
        threading.Thread(target=_wait_for_the_end_of_input, args=(ended,), daemon=True).start()
    try:
        document = load_document(chosen.config)
        ports = dict(chosen.ports)
        if chosen.port is not None and document.vaults:
            ports[f"vault:{document.vaults[0].name}"] = chosen.port
        with VaultLab(document, folder=chosen.folder, anchor=chosen.anchor, ports=ports) as lab:
            ready = lab.describe()
            print(json.dumps({"ready": True, "environment": lab.environment(), **ready}), flush=True)
            ended.wait()
    except (LabError, PortTakenError, OSError) as error:
        print(f"lab.emulators.key_vault: {error}", file=sys.stderr)
        return 1
    return 0


def _wait_for_the_end_of_input(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    raise SystemExit(main())
