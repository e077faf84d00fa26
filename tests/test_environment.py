"""The environment is read whole, and says everything that is missing at once."""

import pytest

from shared.environment import VARIABLES, load_environment
from shared.errors import MisconfiguredError

STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}


def test_defaults_hold_without_any_variable_but_storage() -> None:
    environment = load_environment(STORAGE)
    assert environment.text("DESKBRIDGE_EC2_SCHEDULE") == "0 0 2 * * *"
    assert environment.flag("DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE") is True
    assert environment.deployed is False


def test_all_that_is_wrong_is_said_in_one_message_without_the_value_of_a_secret() -> None:
    with pytest.raises(MisconfiguredError) as caught:
        load_environment({"DESKBRIDGE_EVENT_BODY_LIMIT": "many", "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "perhaps"})
    assert {fault.path for fault in caught.value.faults} == {
        "DESKBRIDGE_EVENT_BODY_LIMIT",
        "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE",
        "AzureWebJobsStorage",
    }


def test_an_unresolved_key_vault_reference_is_a_missing_value() -> None:
    reference = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)"
    environment = load_environment({**STORAGE, "AzureClientSecret": reference, "OTHER": reference})
    assert environment.text("AzureClientSecret") is None
    assert environment.app_setting("OTHER") is None


def test_every_variable_has_help() -> None:
    assert all(variable.help.endswith(".") for variable in VARIABLES)
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)
