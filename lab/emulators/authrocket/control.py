"""What AuthRocketLab does, by HTTP, for an emulator in another process: /_lab/script, /_lab/realms/…, /_lab/journal."""

import json
from typing import TYPE_CHECKING, Any

from lab.emulators.authrocket.exchange import Received, Reply
from lab.emulators.authrocket.faults import Script

if TYPE_CHECKING:
    from lab.emulators.authrocket.server import AuthRocketLab


def control(lab: "AuthRocketLab", request: Received) -> Reply:
    """One request below /_lab/."""
    try:
        given: dict[str, Any] = json.loads(request.body or b"{}")
        status, body = _carry_out(lab, request.method, request.path.split("/")[2:], given)
    except LookupError as error:
        return Reply(404, json.dumps({"error": f"not found: {error}"}).encode())
    except (TypeError, ValueError) as error:
        return Reply(400, json.dumps({"error": str(error)}).encode())
    return Reply(status, json.dumps(body, default=str).encode())


def _carry_out(lab: "AuthRocketLab", method: str, path: list[str], given: dict[str, Any]) -> tuple[int, object]:
    match method, path:
        case "POST", ["script"]:
            lab.faults.add(Script(**{**given, "errors": tuple(given.get("errors", ()))}))
            return 201, {}
        case "DELETE", ["script"]:
            lab.faults.clear()
            return 200, {}
        case "POST", ["realms", realm_id, "users"]:
            return 201, lab.add_user(realm_id, **given)
        case "PATCH", ["realms", realm_id, "users", user_id]:
            return 200, lab.change_user(user_id, realm_id, **given)
        case "DELETE", ["realms", realm_id, "users", user_id]:
            lab.remove_user(user_id, realm_id)
            return 200, {}
        case "POST", ["realms", realm_id, "events"]:
            return 201, lab.realms.event(realm_id, given.pop("event_type"), **given)
        case "GET", ["journal"]:
            return 200, [vars(line) for line in lab.journal]
    raise LookupError("/".join(path))
