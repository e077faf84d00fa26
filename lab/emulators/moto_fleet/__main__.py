"""`python -m lab.emulators.moto_fleet [--port N]`: the fleet alone, and the settings that lead to it."""

import argparse
import threading

from lab.emulators.moto_fleet import NOT_OPTED_IN, REGIONS, Fleet
from lab.emulators.ports import choose


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.emulators.moto_fleet", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="loopback port (default 5000; 0 takes any free one)")
    wanted: int = parser.parse_args().port
    with Fleet(choose(wanted, "the fleet") if wanted else 0) as fleet:
        credentials = fleet.credentials()
        for name, value in fleet.environment().items():
            print(f"export {name}={value}")
        print(f"export AWS_ACCESS_KEY_ID={credentials.access_key_id}")
        print(f"export AWS_SECRET_ACCESS_KEY={credentials.secret_access_key}")
        print(f"# regions: {', '.join(REGIONS)}; not opted in: {', '.join(NOT_OPTED_IN)}")
        print(f"# another account: role {credentials.role_arn}, external id {credentials.external_id}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
