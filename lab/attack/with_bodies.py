"""Attacks by what is sent: bodies that cost much more than they weigh, and texts that become something else."""

import csv
import io
import json
from collections.abc import Sequence

from lab.attack.attack import Attack, Outcome, refused
from lab.attack.target import Target

_SITE = "/api/v1/settings/sites/attack"


def doubled_members(target: Target) -> Outcome:
    members = ",".join('"title": "x"' for _ in range(20_000))
    return refused(target.as_administrator("PUT", _SITE, f"{{{members}}}".encode()), within=3)


def deep_nesting(target: Target) -> Outcome:
    depth = 100_000
    answers = [
        target.as_administrator("PUT", _SITE, b'{"title": ' + b"[" * depth + b"]" * depth + b"}"),
        target.as_administrator("POST", "/api/v1/settings", b"[" * 5000, content_type="application/yaml"),
    ]
    return refused(*answers, within=3)


def aliases_for_long_texts(target: Target) -> Outcome:
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9)]
    text = "kind: sites\nname: attack\ndocument: {}\n" + "\n".join(levels)
    long = (
        f"kind: sites\nname: attack\ndocument:\n  title: &t {'x' * 100_000}\n  customer: [{', '.join(['*t'] * 2000)}]\n"
    )
    answers = [
        target.as_administrator("POST", "/api/v1/settings", body.encode(), content_type="application/yaml")
        for body in (text, long)
    ]
    return refused(*answers, within=3)


def expensive_expressions(target: Target) -> Outcome:
    document = json.loads(target.as_administrator("GET", "/api/v1/settings/key-vault-events/default").text)["document"]
    patterns = ("(a{1000}){1000}", "(?:" * 500 + ")" * 500, "(a+)+$" * 2000)
    answers = []
    for pattern in (*patterns, "^acorn-"):
        criterion = {"field": "object_name", "operator": "matches", "value": pattern}
        rules = [{"name": "bomb", "criteria": [criterion], "team": "x"}]
        item = {"kind": "key-vault-events", "name": "default", "document": {**document, "ticket_rules": rules}}
        answers.append(target.as_administrator("POST", "/api/v1/settings?dry_run=true", {"documents": [item]}))
    # A harmless pattern is taken: so it was the others that were refused.
    harmless = answers.pop()
    outcome = refused(*answers, within=3, reason="document_invalid")
    return outcome if harmless.status == 200 else Outcome(False, harmless.text)


def too_large(target: Target) -> Outcome:
    answers = [
        target.as_administrator("PUT", _SITE, b'{"title": "' + b"x" * 5_000_000 + b'"}'),
        target.as_administrator("POST", "/api/v1/settings", b"# " + b"x" * 5_000_000, content_type="application/yaml"),
    ]
    return refused(*answers)


def unnamed_work(target: Target) -> Outcome:
    """What a body that was dropped on its way would start."""
    answers = [
        target.as_administrator("POST", path, body)
        for path in (
            "/api/v1/aws-tenants/acorn/imports",
            "/api/v1/authrocket-realms/customers/imports",
            "/api/v1/sweeps",
        )
        for body in (None, b"", b"{}", b'{"preview": true}')
    ]
    chunked = target.as_administrator("POST", "/api/v1/aws-tenants/acorn/imports", b'{"mode": "preview"}', chunked=True)
    return refused(*answers, chunked)


def formula_in_an_export(target: Target) -> Outcome:
    formula = '=HYPERLINK("http://evil.example")'
    name = f"{formula};{formula}\t{formula}\u202e"
    added = target.as_administrator(
        "POST", "/api/v1/assets", {"id": "attack-1", "fields": {"name": name, "type": "application-server"}}
    )
    found = 0
    after = ""
    for _ in range(20):
        answer = target.as_administrator("GET", f"/api/v1/exports/assets?limit=1000{after}")
        for separator in ",;\t|":
            cells = (cell for row in csv.reader(io.StringIO(answer.text), delimiter=separator) for cell in row)
            found += sum(cell.lstrip(' "\ufeff').startswith(("=", "@", "+")) for cell in cells)
        following = answer.headers.get("X-Deskbridge-Next")
        if not following:
            break
        after = f"&after={following}"
    return Outcome(added.status in {200, 201} and found == 0, f"{added}, {found} formulas in the export")


ATTACKS: Sequence[Attack] = (
    Attack("20,000 members of one name", "PUT settings", doubled_members),
    Attack("nesting 100,000 deep", "PUT, POST settings", deep_nesting),
    Attack("YAML aliases for long texts", "POST settings", aliases_for_long_texts),
    Attack("regular expressions that explode", "POST settings", expensive_expressions),
    Attack("bodies of 5 MB", "PUT, POST settings", too_large),
    Attack("work that nobody named", "imports, sweeps", unnamed_work),
    Attack("formula in a spreadsheet", "exports", formula_in_an_export),
)
