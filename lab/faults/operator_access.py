"""The operator's access token in a schedule. It is always accepted: tokens have tests of their own."""

from shared.access.principals import Principal, PrincipalKind
from shared.access.roles import Role
from shared.access.token_format import new_token

OPERATOR = "operator"
TOKEN = new_token()


class OperatorAccess:
    """Stands in for the tokens of the desk: whoever has one is the operator, with every right."""

    def authenticate(self, _: str) -> Principal:
        return Principal(OPERATOR, PrincipalKind.TOKEN, Role.ADMINISTRATOR)
