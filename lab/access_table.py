"""`python -m lab.access_table`: writes the table of who may call what into docs/api.md, from the declarations."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from functions.http.access import Door
from functions.http.endpoints import Endpoint, declared_endpoints
from shared.access.roles import Role
from shared.bootstrap.kinds import KINDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
BEGIN, END = "<!-- access: begin -->\n", "<!-- access: end -->\n"
_DOORS = {
    Door.OPEN: "nobody has to say who it is",
    Door.HOST_KEY: "a key of the Functions host",
    Door.CALENDAR_TOKEN: "a calendar's token",
}


def what_opens(declared: Endpoint) -> str:
    """In a word or a few."""
    if isinstance(declared.access, Door):
        return _DOORS[declared.access]
    return f"{declared.access}, by kind" if declared.by_kind else str(declared.access)


def access_table() -> str:
    """The two tables as Markdown."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield ""
    yield "| Endpoint | Needs | Limited to customers |"
    yield "|---|---|---|"
    for declared in sorted(declared_endpoints().values(), key=lambda one: (one.route, one.methods)):
        route = re.sub(r":[^}]*", "", declared.route)
        limited = "theirs" if declared.by_customer else "–" if isinstance(declared.access, Door) else "no"
        yield f"| `{'`, `'.join(declared.methods)} /api/{route}` | {what_opens(declared)} | {limited} |"
    yield ""
    for role in (Role.OPERATOR, Role.ADMINISTRATOR):
        kinds = ", ".join(f"`{cls.kind}`" for cls in KINDS if cls.writable_by is role)
        yield f"Settings of these kinds are an {role}'s to write: {kinds}."
        yield ""


def written(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{access_table()}{END}{after}"


if __name__ == "__main__":
    from functions import blueprints

    blueprints()
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    sys.exit(0)
