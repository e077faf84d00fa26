"""`python -m lab.emulators.ec2 --instances 111122223333/eu-west-2=100000`: it alone; prints its address first."""

import argparse
import sys
import threading

from lab.emulators.ec2.server import EC2Lab, Place
from lab.emulators.ports import choose


def place(text: str) -> tuple[Place, int]:
    """`account/region=count`."""
    where, _, count = text.partition("=")
    account, _, region = where.partition("/")
    return (account, region), int(count)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.emulators.ec2", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="loopback port (default: any free one)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--instances", type=place, action="append", metavar="ACCOUNT/REGION=COUNT")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started this does")
    given = parser.parse_args()
    port = choose(given.port, "the EC2 stand-in") if given.port else 0
    with EC2Lab(dict(given.instances) if given.instances else None, port=port, seed=given.seed) as lab:
        print(lab.url, flush=True)
        try:
            if given.until_stdin_closes:
                sys.stdin.read()
            else:
                threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
