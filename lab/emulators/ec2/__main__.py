"""`python -m lab.emulators.ec2 --port N`: EC2 and STS with the lab's machines; the first line is the address."""

import argparse
import sys
import threading

from lab.emulators.ec2.accounts import NOT_OPTED_IN, REGIONS
from lab.emulators.ec2.fleet import Fleet
from lab.emulators.ec2.server import EC2Lab, Place
from lab.emulators.ports import choose


def place(text: str) -> tuple[Place, int]:
    """`account/region=count`."""
    where, _, count = text.partition("=")
    account, _, region = where.partition("/")
    return (account, region), int(count)


def describe(lab: EC2Lab) -> None:
    """The address first, for whoever starts it; then what a person sets to come here."""
    print(lab.url)
    for name, value in lab.environment().items():
        print(f"export {name}={value}")
    keys = lab.credentials()
    print(f"export AWS_ACCESS_KEY_ID={keys.access_key_id}")
    print(f"export AWS_SECRET_ACCESS_KEY={keys.secret_access_key}")
    print(f"# regions: {', '.join(REGIONS)}; not opted in: {', '.join(NOT_OPTED_IN)}")
    print(f"# another account: role {keys.role_arn}, external id {keys.external_id}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.emulators.ec2", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="loopback port (default: any free one)")
    parser.add_argument("--seed", type=int, default=1, help="of --instances")
    parser.add_argument(
        "--instances",
        type=place,
        action="append",
        metavar="ACCOUNT/REGION=COUNT",
        help="made-up instances, up to 100,000 and more, instead of the lab's machines",
    )
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started this does")
    given = parser.parse_args()
    port = choose(given.port, "the EC2 emulator") if given.port else 0
    made_up = EC2Lab(dict(given.instances), port=port, seed=given.seed) if given.instances else None
    with made_up or Fleet(port) as lab:
        describe(lab)
        try:
            if given.until_stdin_closes:
                sys.stdin.read()
            else:
                threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
