"""`python -m bench`: measure, print the figures, and write `bench.json` and `docs/performance.md`."""

import argparse
import json
import sys
import time
from pathlib import Path

from bench import cold_start, console, ec2_import, lists, rule_sets, through_host, user_import, webhook
from bench.figures import Results
from bench.measuring import FULL, QUICK, ROOT
from bench.report import to_json, to_page, to_terminal

_BENCHES = {
    "webhook": webhook.measure,
    "host": through_host.measure,
    "import": ec2_import.measure,
    "rules": rule_sets.measure,
    "users": user_import.measure,
    "start": cold_start.measure,
    "lists": lists.measure,
    "console": console.measure,
}
_NOT_MEASURED = (
    "Azure's own Functions host: what goes through a host went through the lab's, whose figures are its own.",
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a minute: tries everything out, and its figures say nothing"
    )
    parser.add_argument(
        "--only", default="", help=f"some of {','.join(_BENCHES)}; the figures of the others stay as they were measured"
    )
    parser.add_argument("--json", type=Path, default=None, help="bench.json; a trial writes it only when told")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="the folder of performance.md")
    given = parser.parse_args(arguments)
    chosen = [name for name in given.only.split(",") if name] or list(_BENCHES)
    if unknown := sorted(set(chosen) - set(_BENCHES)):
        parser.error(f"no such bench: {', '.join(unknown)}")
    effort = QUICK if given.quick else FULL
    results = Results(left_out=list(_NOT_MEASURED))
    kept: Path | None = given.json or (None if given.quick else ROOT / "bench.json")
    earlier = json.loads(kept.read_text("utf-8")) if kept and kept.exists() and not given.quick else {}
    for name in chosen:
        before = time.perf_counter()
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        _BENCHES[name](effort, results)
        print(f" {time.perf_counter() - before:.0f} s", file=sys.stderr, flush=True)
        # After each: what was measured is kept when the next one is interrupted.
        if kept:
            kept.write_text(to_json(results.with_earlier(earlier)) + "\n", encoding="utf-8")
    print(to_terminal(results))
    # The figures of a trial must not stand where people look for real ones.
    if not given.quick or given.docs != ROOT / "docs":
        page = to_page(results.with_earlier(earlier), given.docs, rounds=effort.rounds)
        (given.docs / "performance.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
