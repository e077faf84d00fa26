"""The secrets of a simulation, old and new: what the vault holds, and what each other side accepts, at a time."""

import json
from collections.abc import Mapping
from datetime import datetime

from lab.faults.scenario import Scenario

WEBHOOK_USER = "event-grid"
_PAIRS = frozenset({"webhook", "authrocket-webhook"})
_PREVIOUS = "-previous"
# Each occurs nowhere by chance: they are what is searched for wherever the product wrote.
SECRETS: Mapping[str, str] = {
    "aws": "leak-aws-5f0e63b2c1-~/+secret",
    "authrocket": "ks_leak-authrocket-9d41c07ab2-~",
    "webhook": "leak-webhook-77aa10b3f4-~/+ &secret",
    "authrocket-webhook": "leak-realm-webhook-c2900b61de-~/+ &secret",
}
NEW_SECRETS: Mapping[str, str] = {
    "aws": "leak-new-aws-41f7d20c9a-~/+secret",
    "authrocket": "ks_leak-new-authrocket-83bb7e51f0-~",
    "webhook": "leak-new-webhook-0d95ac6e37-~/+ &secret",
    "authrocket-webhook": "leak-new-realm-webhook-5ee1f48c26-~/+ &secret",
}
PLANTED_SECRETS: Mapping[str, str] = {**SECRETS, **{f"new {name}": secret for name, secret in NEW_SECRETS.items()}}


def stored(scenario: Scenario, name: str, at: datetime) -> str:
    """The secret as the vault has it. One that ends with `-previous` keeps the pair from before the change."""
    plain = name.removesuffix(_PREVIOUS)
    rotation = scenario.steps.rotations.get(plain)
    is_new = rotation is not None and at >= rotation.stored_at and not name.endswith(_PREVIOUS)
    text = (NEW_SECRETS if is_new else SECRETS)[plain]
    return json.dumps({"username": WEBHOOK_USER, "password": text}) if plain in _PAIRS else text


def sent(scenario: Scenario, name: str, at: datetime) -> str:
    """The password that the other side sends with its deliveries."""
    rotation = scenario.steps.rotations.get(name)
    return (NEW_SECRETS if rotation is not None and at >= rotation.revoked_at else SECRETS)[name]


def accepted(scenario: Scenario, name: str, at: datetime) -> frozenset[str]:
    """The keys that the other side accepts: for a while both, as keys are changed."""
    rotation = scenario.steps.rotations.get(name)
    if rotation is None:
        return frozenset({SECRETS[name]})
    return frozenset({NEW_SECRETS[name]} if at >= rotation.revoked_at else {SECRETS[name], NEW_SECRETS[name]})
