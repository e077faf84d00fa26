"""Azure Resource Graph over TLS, with tokens of the lab's identity: pages, rights, throttling, and who is asked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.emulators.key_vault import VaultLab
from lab.emulators.resource_graph import ResourceGraphLab
from shared import bootstrap
from shared.access.audit import UNAUDITED
from shared.environment import Environment, load_environment
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.hosts import KNOWN_HOSTS, AllowedHosts, Service, matches_host
from shared.outbound import Outbound
from shared.reasons import Reason
from shared.tickets.inbound.resource_graph import ResourceGraph, resource_graph
from shared.tickets.inbound.vault_discovery import VAULTS_A_PAGE, ListedVault
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import CLOUDS, host_of
from shared.vaults.identities import StoreIdentity
from tests.fakes.tables import MemoryTables
from tests.tickets.desk import AZURE_SUBSCRIPTION, resource_id, settings

ELSEWHERE = "00000000-1111-4222-8333-0000000bad00"
LAB = {"identities": [{"name": "system", "kind": "system"}]}


class Azure:
    """The lab's identity endpoint and Resource Graph, and the product's own objects on them."""

    def __init__(self, vaults: VaultLab, graph: ResourceGraphLab) -> None:
        self.lab = graph
        (self.identity,) = [one["principal_id"] for one in vaults.describe()["identities"]]
        self._environment = vaults.environment()

    def environment(self, hosts: str = "localhost", private: str = "localhost") -> Environment:
        return load_environment(
            {
                **self._environment,
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "DESKBRIDGE_VAULT_HOSTS": "localhost",
                "DESKBRIDGE_RESOURCE_MANAGER_HOSTS": hosts,
                "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS": private,
            }
        )

    @property
    def store(self) -> dict[str, Any]:
        """A credential store as an operator writes it."""
        return {"vault_url": "https://localhost:1", "method": "system_assigned", "resource_manager": self.lab.url}

    def graph(self, hosts: str = "localhost", private: str = "localhost", **members: Any) -> ResourceGraph:
        environment = self.environment(hosts, private)
        store = CredentialStore.model_validate({**self.store, **members})
        allowed = AllowedHosts(environment.further_hosts())
        outbound = Outbound(environment.hosts("DESKBRIDGE_ALLOWED_PRIVATE_HOSTS"))
        return resource_graph("acorn", store, StoreIdentity("acorn", store, environment), outbound, allowed)

    def refusal(self, **members: Any) -> DeskbridgeError:
        with pytest.raises(DeskbridgeError) as refused:
            self.graph(**members).vaults("")
        return refused.value


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    with VaultLab(LAB, folder=tmp_path) as vaults, ResourceGraphLab(vaults.authority) as graph:
        for name, value in vaults.environment().items():
            monkeypatch.setenv(name, value)
        found = Azure(vaults, graph)
        graph.grant(found.identity, AZURE_SUBSCRIPTION)
        yield found


def test_every_vault_that_the_identity_sees_is_listed_once_in_pages_with_its_tags(azure: Azure) -> None:
    count = 2 * VAULTS_A_PAGE + 1
    for number in reversed(range(count)):
        azure.lab.put(resource_id(f"Vault-{number:04}"), {"Env": f"e{number}"} if number % 2 else None)
    hsm = resource_id("zinc-hsm").replace("vaults", "managedHSMs")
    azure.lab.put(hsm, resource_type="microsoft.keyvault/managedhsms")
    azure.lab.put(resource_id("web").replace("vaults", "sites"), resource_type="microsoft.web/sites")
    azure.lab.put(resource_id("theirs").replace(AZURE_SUBSCRIPTION, ELSEWHERE))
    graph, found, token, pages = azure.graph(), list[ListedVault](), "", 0
    while pages == 0 or token:
        page = graph.vaults(token)
        found, token, pages = [*found, *page.vaults], page.next, pages + 1
    assert pages == 3
    assert [one.name for one in found] == [*(f"vault-{number:04}" for number in range(count)), "zinc-hsm"]
    assert found[-1].resource_id == hsm.lower()
    assert [dict(one.tags) for one in found[:3]] == [{}, {"env": "e1"}, {}]
    assert found[0].resource_id == resource_id("vault-0000").lower()


def test_a_sweep_of_the_whole_desk_asks_with_the_identity_of_the_store_that_a_pattern_names(azure: Azure) -> None:
    azure.lab.put(resource_id("ash"), {"env": "production"})
    azure.lab.put(resource_id("elm"), {"env": "test"})
    bootstrap.reset()
    try:
        bootstrap.replace("environment", azure.environment())
        bootstrap.replace("tables", MemoryTables())
        bootstrap.replace("audit", UNAUDITED)
        put = bootstrap.settings().put
        put("credential-stores", "acorn", azure.store, by="test")
        webhook = {"scope": "any", "store": "acorn", "secret": "webhook"}
        put("credentials", "webhook", webhook, by="test")
        patterns = [{"subscription": AZURE_SUBSCRIPTION, "tags": {"env": "prod*"}, "store": "acorn"}]
        put("key-vault-events", "default", settings(allowed_vaults=[], vault_patterns=patterns), by="test")
        sweep, waiting = bootstrap.sweeps().start(None, "kim")
        while waiting:
            message = waiting.pop(0)
            if "vault" not in json.loads(message):
                waiting += bootstrap.sweeps().do(message)
        told = bootstrap.sweeps().vaults.report(sweep.id, 9, None)[0]
        assert [(one.what, one.vault) for one in told] == [("added", "ash")]
        configured = bootstrap.ticket_configuration()()
        assert configured is not None
        assert [configured.allowed(name, resource_id(name).lower()) for name in ("ash", "elm")] == [True, False]
    finally:
        bootstrap.reset()


def test_vaults_are_asked_for_by_name(azure: Azure) -> None:
    for name in ("ash", "Birch", "cedar"):
        azure.lab.put(resource_id(name))
    assert [one.name for one in azure.graph().vaults("", ["birch", "cedar", "gone"]).vaults] == ["birch", "cedar"]


def test_an_identity_without_a_right_is_answered_with_an_empty_list(azure: Azure) -> None:
    azure.lab.put(resource_id("ash"))
    azure.lab.revoke(azure.identity)
    assert azure.graph().vaults("").vaults == []


@pytest.mark.parametrize(("said", "seconds"), [("17", 17.0), ("", None), ("soon", None), ("9" * 9, None)])
def test_a_list_that_throttles_says_how_long_to_wait(azure: Azure, said: str, seconds: float | None) -> None:
    azure.lab.throttle(1, said)
    refused = azure.refusal()
    assert isinstance(refused, TryLaterError)
    assert (refused.reason, refused.retry_after) == (Reason.VAULTS_NOT_LISTED, seconds)
    azure.graph().vaults("")


def test_a_token_of_another_page_is_refused_and_not_asked_again(azure: Azure) -> None:
    with pytest.raises(MisconfiguredError) as refused:
        azure.graph().vaults("bm9uZQ==")
    assert (refused.value.reason, "status 400" in refused.value.message) == (Reason.VAULTS_NOT_LISTED, True)


def test_nothing_is_sent_to_a_host_that_the_deployer_does_not_allow(azure: Azure) -> None:
    assert azure.refusal(hosts="").reason == Reason.HOST_NOT_ALLOWED
    assert azure.refusal(private="").reason == Reason.HOST_REFUSED
    unknown = azure.refusal(resource_manager=None)
    assert (unknown.reason, "resource_manager" in unknown.remedy) == (Reason.VAULTS_NOT_LISTED, True)
    assert azure.lab.asked == []


def test_what_does_not_answer_may_pass(azure: Azure) -> None:
    url = azure.lab.url
    azure.lab.stop()
    assert isinstance(azure.refusal(resource_manager=url), TryLaterError)


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.vault_domain)
def test_each_cloud_has_a_resource_manager_of_its_own_which_a_store_need_not_name(cloud: Any) -> None:
    store = CredentialStore.model_validate(
        {"vault_url": f"https://acorn.{cloud.vault_domain}", "method": "system_assigned"}
    )
    assert store.resource_manager_url == cloud.resource_manager
    assert matches_host(host_of(cloud.resource_manager), KNOWN_HOSTS[Service.RESOURCE_MANAGER])
