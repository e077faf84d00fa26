"""Attacks of whoever may write settings: on secrets, on the identity's tokens, and on the network of the deployer."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.attack.attack import REFUSED, Attack, Outcome, refused
from lab.attack.echo import EchoServer
from lab.attack.target import Answer, Target

_ROLE = "arn:aws:iam::111122223333:role/deskbridge-read"


def _store(target: Target, **more: Any) -> dict[str, Any]:
    vault = target.desk.addresses["Key Vault deskbridge-vault"]
    return {"vault_url": vault, "vault_name": "deskbridge-vault", "method": "system_assigned", **more}


def _app(target: Target, **more: Any) -> dict[str, Any]:
    who = {"tenant_id": "acorn.example", "client_id": "11111111-1111-1111-1111-111111111111"}
    return _store(target, method="client_secret", **who, **more)


def _realm(target: Target, **more: Any) -> dict[str, Any]:
    return {
        "title": "A realm of the attacker's",
        "endpoint_url": target.desk.addresses["AuthRocket"],
        "api_key": {"credential": "authrocket-customers"},
        "realm": "rl_attacker",
        "default_site": "london-hq",
        **more,
    }


def _unscoped(target: Target, **more: Any) -> dict[str, Any]:
    """A realm with a secret that no credential names: nothing but the attack is wrong with it."""
    return _realm(target, api_key={"in_place": {"store": "deskbridge-vault", "secret": "of-nobody-yet"}}, **more)


def _written(target: Target, kind: str, documents: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """The answers to each of these documents, none of which may be taken."""
    answers: list[Answer] = []
    for number, document in enumerate(documents):
        with target.document(kind, f"attack-{number}", document) as answer:
            answers.append(answer)
    return answers


def _refused(
    target: Target, kind: str, documents: Sequence[Mapping[str, Any]], *, harmless: Mapping[str, Any]
) -> Outcome:
    """All are refused, and a harmless document of the same form is taken: so it was the attack that was refused."""
    answers = _written(target, kind, documents)
    (control,) = _written(target, kind, [harmless])
    outcome = refused(*answers, reason="document_invalid")
    if control.status in REFUSED:
        return Outcome(False, f"a harmless document is refused too: {control.text}")
    return outcome


def variables_of_the_worker(target: Target) -> Outcome:
    names = ("AzureWebJobsStorage", "IDENTITY_HEADER", "DESKBRIDGE_CALENDAR_TOKEN", "PATH", "azureclientsecretx")
    stores = [_app(target, client_secret_setting=name) for name in names]
    harmless = _app(target, client_secret_setting="DESKBRIDGE_CLIENT_SECRET_ACORN")
    return _refused(target, "credential-stores", stores, harmless=harmless)


def authority_of_the_attacker(target: Target) -> Outcome:
    hosts = ("evil.example", "login.microsoftonline.com.evil.example", "https://169.254.169.254", "xlogin.windows.net")
    stores = [_app(target, authority=host) for host in hosts]
    harmless = _app(target, authority="login.microsoftonline.com")
    return _refused(target, "credential-stores", stores, harmless=harmless)


def vault_of_the_attacker(target: Target) -> Outcome:
    hosts = (
        ("https://evil.example", None),
        ("https://kv.evil.example", "https://evil.example"),
        ("https://kv.vault.azure.net.evil.example", None),
        ("https://vault.azure.net@evil.example", None),
        ("https://127.0.0.1:1", None),
        ("https://169.254.169.254", None),
    )
    stores = [_store(target, vault_url=url, **({"resource": resource} if resource else {})) for url, resource in hosts]
    return _refused(target, "credential-stores", stores, harmless=_store(target))


def endpoint_of_the_attacker(target: Target) -> Outcome:
    urls = (
        "https://evil.example/v2",
        "https://authrocket.com.evil.example/v2",
        "https://api.authrocket.com@evil.example/v2",
        "https://evil.example#.authrocket.com/v2",
        "http://api-e2.authrocket.com/v2",
    )
    realms = [_unscoped(target, endpoint_url=url) for url in urls]
    return _refused(target, "authrocket-realms", realms, harmless=_unscoped(target))


def secret_of_somebody_else(target: Target) -> Outcome:
    in_place = (
        {"store": "deskbridge-vault", "secret": "aws-acorn"},
        {"store": "deskbridge-vault", "secret": "AWS-Acorn"},
        {"store": "deskbridge-vault", "secret": "authrocket-customers"},
        {"store": "deskbridge-vault", "secret": "key-vault-webhook"},
    )
    realms = [_realm(target, api_key={"in_place": where}) for where in in_place]
    realms += [_realm(target, api_key={"credential": name}) for name in ("aws-acorn", "key-vault-webhook")]
    answers = _written(target, "authrocket-realms", realms)
    wider = {"scope": "authrocket-realms", "store": "deskbridge-vault", "secret": "aws-acorn"}
    outcome = refused(*answers, *_written(target, "credentials", [wider]))
    control = _refused(target, "authrocket-realms", realms, harmless=_unscoped(target))
    return outcome if control.held else control


def endpoint_that_echoes(target: Target) -> Outcome:
    """A name that is allowed, at a port that is not: what listens there must hear nothing."""
    vaults = target.desk.vaults
    assert vaults is not None
    vaults.vault("deskbridge-vault").add_secret("of-nobody-yet", "ks_planted")
    key = {"in_place": {"store": "deskbridge-vault", "secret": "of-nobody-yet"}}
    said: list[str] = []
    with EchoServer(vaults.authority.server_context()) as server:
        for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"):
            realm = _realm(target, endpoint_url=f"https://{host}:{server.port}/v2", realm="rl_echo", api_key=key)
            with target.document("authrocket-realms", "attack-echo", realm) as written:
                if written.status in REFUSED:
                    said.append(str(written))
                    continue
                check = target.as_administrator("POST", "/api/v1/authrocket-realms/attack-echo/check", {})
                # The key was read, and then no connection made: otherwise nothing was tried.
                said.append("host_refused" if "host_refused" in check.text else check.text)
    held = "host_refused" in said and all(one in {"host_refused", "400 document_invalid"} for one in said)
    return Outcome(held and not server.heard, f"{', '.join(dict.fromkeys(said))}; {len(server.heard)} heard")


def addresses_of_the_own_network(target: Target) -> Outcome:
    hosts = ("169.254.169.254", "[::1]", "0x7f000001", "0177.0.0.1", "10.0.0.1", "168.63.129.16", "[fd00:ec2::254]")
    realms = [_unscoped(target, endpoint_url=f"https://{host}/v2") for host in hosts]
    return _refused(target, "authrocket-realms", realms, harmless=_unscoped(target))


def token_for_somebody_else(target: Target) -> Outcome:
    audiences = (
        "https://vault.azure.net",
        "https://management.azure.com/",
        "https://storage.azure.com",
        "https://graph.microsoft.com",
        "00000003-0000-0000-c000-000000000000",
        "api://AzureADTokenExchange/../https://vault.azure.net",
    )
    tenants = [_tenant(audience) for audience in audiences]
    return _refused(target, "aws-tenants", tenants, harmless=_tenant("api://deskbridge-aws"))


def _tenant(audience: str) -> dict[str, Any]:
    criterion = {"field": "name", "operator": "starts_with", "value": "ACORN"}
    rule = {"asset_type": "application-server", "criteria": [criterion]}
    return {
        "title": "A tenant of the attacker's",
        "access": {"method": "web_identity", "audience": audience},
        "accounts": [{"account": "111122223333", "role": _ROLE}],
        "regions": ["eu-west-3"],
        "field_mappings": [{"source": "tags.Name", "field": "name"}],
        "matching_field": "name",
        "asset_type": {"mode": "rules", "default": "application-server", "rules": [rule]},
        "default_site": "leeds",
    }


ATTACKS: Sequence[Attack] = (
    Attack("a variable of the worker as client secret", "credential-stores", variables_of_the_worker),
    Attack("authority of the attacker's", "credential-stores", authority_of_the_attacker),
    Attack("vault of the attacker's", "credential-stores", vault_of_the_attacker),
    Attack("endpoint of the attacker's", "authrocket-realms", endpoint_of_the_attacker),
    Attack("a secret that is bound to others", "authrocket-realms", secret_of_somebody_else),
    Attack("endpoint that echoes the key", "authrocket-realms", endpoint_that_echoes),
    Attack("addresses of the own network", "authrocket-realms", addresses_of_the_own_network),
    Attack("identity's token for Key Vault", "aws-tenants", token_for_somebody_else),
)
