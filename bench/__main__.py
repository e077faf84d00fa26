"""`python -m bench`: measure, print the figures, and write `bench.json` and `docs/performance.md`."""

import argparse
import sys
import time
from pathlib import Path

from bench import (
    cold_start,
    ec2_import,
    held_secrets,
    lists,
    parallel,
    rule_sets,
    storage_clients,
    user_import,
    webhook,
)
from bench.figures import Results
from bench.measuring import FULL, QUICK, ROOT
from bench.report import to_json, to_page, to_terminal

_BENCHES = {
    "webhook": webhook.measure,
    "import": ec2_import.measure,
    "parallel": parallel.measure,
    "rules": rule_sets.measure,
    "storage": storage_clients.measure,
    "users": user_import.measure,
    "secrets": held_secrets.measure,
    "start": cold_start.measure,
    "lists": lists.measure,
}
_NOT_MEASURED = (
    "The same records by cartography and cloud-custodian: each brings a hundred packages that this project leaves out.",
    "Requests a second through the Functions host: the lab's host is not Azure's, and its figures would be its own.",
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a minute: tries everything out, and its figures say nothing"
    )
    parser.add_argument("--only", default="", help=f"some of {','.join(_BENCHES)}; then the page is not written")
    parser.add_argument("--json", type=Path, default=ROOT / "bench.json")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="the folder of performance.md")
    given = parser.parse_args(arguments)
    chosen = [name for name in given.only.split(",") if name] or list(_BENCHES)
    if unknown := sorted(set(chosen) - set(_BENCHES)):
        parser.error(f"no such bench: {', '.join(unknown)}")
    effort = QUICK if given.quick else FULL
    results = Results(left_out=list(_NOT_MEASURED))
    for name in chosen:
        before = time.perf_counter()
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        _BENCHES[name](effort, results)
        print(f" {time.perf_counter() - before:.0f} s", file=sys.stderr, flush=True)
    print(to_terminal(results))
    given.json.write_text(to_json(results) + "\n", encoding="utf-8")
    # A part of the figures, or those of a trial, must not stand where people look for all of them.
    whole = len(chosen) == len(_BENCHES) and not given.quick
    if whole or given.docs != ROOT / "docs":
        (given.docs / "performance.md").write_text(to_page(results, given.docs, rounds=effort.rounds), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
