"""What has the form or the name of a secret is not told; names of secrets and ordinary values are."""

import time

import pytest

from shared.access.masks import LONGEST_VALUE, MASK, is_secret_name, masked

SECRETS = (
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".replace("EXAMPLEKEY", "3xAmPl3k3Y"),
    "desk_Zk3lJ2m9Qw8xT5v7bN1cR4yU6iO0pA2sD3fG5hJ7kL9z",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "a1b8Q~" + "xY3-z_.~" * 4 + "ab",
    "A" * 43 + "b" * 43 + "==",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "before {} after", '"{}"', "x={}", "\n{}\n"])
def test_what_has_the_form_of_a_secret_is_masked_wherever_it_stands(secret: str, around: str) -> None:
    told = masked(around.format(secret))
    assert secret not in told
    assert MASK in told


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "the Password: hunter2, since May",
        '{"secret": "hunter2"}',
        "https://kim:hunter2@db.example/x",
        "https://acorn.blob.core.windows.net/c?sv=2024&sig=hunter2&se=2027",
        "Authorization: Bearer hunter2",
        "AccountName=acorn;AccountKey=hunter2;EndpointSuffix=x",
        "api-key = hunter2",
        "https://hooks.slack.com/services/hunter2",
    ],
)
def test_what_stands_behind_its_name_is_masked(text: str) -> None:
    assert "hunter2" not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "The supplier sends the new certificate on Monday.",
        "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/Prod/providers/Microsoft.KeyVault/vaults/a",
        "https://acorn-vault.vault.azure.net",
        "arn:aws:iam::111122223333:role/Deskbridge",
        "998204690743439166-aws-tenants-93e54c",
        "London HQ",
        "",
    ],
)
def test_what_is_no_secret_is_told_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("value", [None, True, 5, 1.5])
def test_what_is_no_text_is_told_as_it_is(value: object) -> None:
    assert masked(value) is value


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "custom.admin-password",
        "apiKey",
        "api_key",
        "clientSecret",
        "access-key",
        "token",
        "DB_PWD",
        "SASToken",
    ],
)
def test_a_field_of_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["name", "site", "keyboard", "monkey", "tokenised-at", "custom.floor", "assignee"])
def test_other_fields_are_told(name: str) -> None:
    assert not is_secret_name(name)


def test_a_member_that_holds_a_name_is_told_and_others_of_its_kind_are_not() -> None:
    assert not is_secret_name("in_place.secret", {"secret"})
    assert is_secret_name("in_place.secret")


def test_a_long_text_is_cut_and_no_secret_slips_through_where_it_is() -> None:
    secret = SECRETS[1]
    for length in range(3_900, 4_010):
        told = masked("x " * (length // 2) + secret)
        assert len(told) <= LONGEST_VALUE + 1
        assert secret[:12] not in told
    for length in range(LONGEST_VALUE - 60, LONGEST_VALUE + 5):
        assert secret[:12] not in masked("." * length + " " + secret)


@pytest.mark.parametrize(
    "text", ["A" * 200_000, "eyJ" * 60_000, "://a:" * 40_000, "password = " * 20_000, "a1A/" * 50_000]
)
def test_masking_takes_no_longer_for_a_hostile_text(text: str) -> None:
    began = time.process_time()
    masked(text)
    assert time.process_time() - began < 0.2
