"""`python -m bench.scale`: play imports and sweeps at scale, print what came of it, and keep it in the page."""

import argparse
import logging
import re
import sys
import time
from pathlib import Path

from bench.scale.parts import REGIONS, Fleet
from bench.scale.report import BEGIN, END, Asked, to_lines
from bench.scale.run import play, search

_SMALL_ACCOUNTS, _SMALL_VAULTS = 3, 50
_INTRODUCTION = """\
## At scale, by a simulator

`make scale` runs the functions of the app, with the SDKs beneath them, against emulators that derive what they hold. \
Each call moves a virtual clock by the time stated below. Processor time is that of this machine, measured in the \
same run. An import and a sweep begin in the same second, and the index follows behind them. \
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
    fleet = Fleet(-(-given.parts // len(REGIONS)), given.instances) if given.parts else None
    few = None if fleet is None else Fleet(_SMALL_ACCOUNTS, given.instances * _SMALL_ACCOUNTS // fleet.accounts)
    names: dict[str, str] = {}
    if fleet is not None:
        names["import"] = f"An import of {given.instances:,} instances in {fleet.parts:,} parts, 1 % changed"
    if given.vaults:
        names["sweep"] = f"A sweep of {given.vaults:,} vaults"
    result = play(fleet, given.vaults, given.workers, sample=given.sample, others=others)
    small = play(few, min(_SMALL_VAULTS, given.vaults), given.workers, sample=given.sample)
    searches = search(fleet) if fleet is not None else []
    lines = to_lines(Asked(names, {"import": "part", "sweep": "vault"}, result, small, searches))
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
