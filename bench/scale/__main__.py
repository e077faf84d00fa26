"""`python -m bench.scale`: play imports and sweeps at scale, print what came of it, and keep it in the page."""

import argparse
import logging
import re
import sys
import time
from pathlib import Path

from bench.scale.parts import REGIONS, Fleet
from bench.scale.report import BEGIN, END, Asked, to_lines
from bench.scale.run import play_parts, play_vaults

_SMALL_ACCOUNTS, _SMALL_VAULTS = 3, 50
_INTRODUCTION = """\
## At scale, by a simulator

`make scale` runs the functions of the app, with the SDKs beneath them, against emulators that derive what they hold. \
Each call moves a virtual clock by the time stated below. Processor time is that of this machine, measured in the \
same run. Each flow is played by itself. What the outbox's timer does afterwards is not played, and no search. \
{sizes}"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--parts", type=int, default=85_000, help="parts of the import: accounts times 17 regions")
    parser.add_argument("--instances", type=int, default=10_000_000, help="EC2 instances in all of them")
    parser.add_argument("--vaults", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=40, help="instances of the app that the real code runs on")
    parser.add_argument("--others", default="1,10,100,1000", help="other numbers of instances")
    parser.add_argument("--sample", type=int, default=20, help="executions of each kind that run the real code")
    parser.add_argument("--page", type=Path, default=None, help="the page to keep it in, such as docs/performance.md")
    given = parser.parse_args(arguments)
    others = [int(one) for one in given.others.split(",") if one]
    before = time.perf_counter()
    asked: list[Asked] = []
    if given.parts:
        fleet = Fleet(-(-given.parts // len(REGIONS)), given.instances)
        small = Fleet(_SMALL_ACCOUNTS, given.instances * _SMALL_ACCOUNTS // fleet.accounts)
        name = f"An import of {given.instances:,} instances in {fleet.parts:,} parts, 1 % changed"
        result = play_parts(fleet, given.workers, sample=given.sample, others=others)
        few = play_parts(small, given.workers, sample=given.sample)
        asked.append(Asked(name, "part", result, few))
    if given.vaults:
        result = play_vaults(given.vaults, given.workers, sample=given.sample, others=others)
        few = play_vaults(_SMALL_VAULTS, given.workers, sample=given.sample)
        asked.append(Asked(f"A sweep of {given.vaults:,} vaults", "vault", result, few))
    lines = to_lines(asked)
    print("\n".join(lines))
    print(f"\n{time.perf_counter() - before:.0f} s in truth.", file=sys.stderr)
    if given.page is not None:
        sizes = f"This is {given.parts:,} parts and {given.vaults:,} vaults."
        write(given.page, "\n".join([_INTRODUCTION.format(sizes=sizes), "", *lines]))
    return 0


def write(page: Path, text: str) -> None:
    """Put the section in place of the one before."""
    before = page.read_text("utf-8")
    section = f"{BEGIN}\n\n{text}\n\n{END}"
    kept = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: section, before, flags=re.DOTALL)
    page.write_text(kept if BEGIN in before else f"{before.rstrip()}\n\n{section}\n", encoding="utf-8")


if __name__ == "__main__":
    # The product tells of each refusal; here they are counted.
    logging.disable(logging.CRITICAL)
    sys.exit(main())
