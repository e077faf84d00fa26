"""Reading a credential from the lab's vault with Microsoft's own clients."""

from lab.vault import VaultInterface, VaultLab
from tests.vaults.conftest import Desk, secret


def test_a_secret_is_read_by_the_systems_own_identity_at_the_moment_of_use_and_then_held(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    # KV-20, KV-23, KV-29, FD-18
    version = vault.add_secret("ec2-key", "s3cret")
    desk.store("main", vault)
    assert lab.values_read() == []

    first = desk.credentials.read(secret("main", "ec2-key"))
    again = desk.credentials.read(secret("main", "ec2-key"))

    assert (first.text, first.version, first.vault_name) == ("s3cret", version, vault.name)
    assert again == first
    assert [entry.principal for entry in lab.values_read()] == ["host"]
