"""The people of a realm, made up from a seed: names in many scripts, and the gaps that real user lists have."""

import hashlib
import random
import string
from collections.abc import Iterator
from typing import Any

ACORN_REALM = "rl_0vAcornConstruction0001"
ST_JOHNS_REALM = "rl_0vStJohnsHighSchool0001"

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FIRST_CREATED = 1_546_300_800  # 2019-01-01
_LAST_CREATED = 1_761_955_200  # 2025-11-01: a fixed day, so that the same seed gives the same users for ever

# First name, last name, how the mail address spells them, locale.
_NAMES = (
    ("Olivia", "Smith", "olivia.smith", "en-GB"),
    ("Oluwaseun", "Adébáyọ̀", "oluwaseun.adebayo", "en-NG"),
    ("Zoë", "O'Brien", "zoe.obrien", "en-IE"),
    ("Jürgen", "Groß-Müller", "juergen.gross-mueller", "de-DE"),
    ("François", "Lefèvre", "francois.lefevre", "fr-FR"),
    ("Łukasz", "Wiśniewski", "lukasz.wisniewski", "pl-PL"),
    ("Þórdís", "Jónsdóttir", "thordis", "is-IS"),
    ("İbrahim", "Yıldız", "ibrahim.yildiz", "tr-TR"),
    ("Đặng", "Nguyễn", "dang.nguyen", "vi-VN"),
    ("Дмитрий", "Кузнецов", "dmitri.kuznetsov", "ru-RU"),
    ("Олена", "Шевченко", "olena.shevchenko", "uk-UA"),
    ("Γεώργιος", "Παπαδόπουλος", "g.papadopoulos", "el-GR"),
    ("محمد", "الحسن", "m.alhassan", "ar-EG"),
    ("נועה", "לוי", "noa.levi", "he-IL"),
    ("伟", "王", "wang.wei", "zh-CN"),
    ("佳玲", "陳", "chen.jialing", "zh-TW"),
    ("花子", "佐藤", "hanako.sato", "ja-JP"),
    ("민준", "김", "minjun.kim", "ko-KR"),
    ("आरव", "शर्मा", "aarav.sharma", "hi-IN"),
    ("สมชาย", "ใจดี", "somchai.jaidee", "th-TH"),
    ("አበበ", "ቢቂላ", "abebe.bikila", "am-ET"),
    ("ანა", "ბერიძე", "ana.beridze", "ka-GE"),
    ("Mary Jane", "van der Berg", "mj.vanderberg", "nl-NL"),
    ("Jean-Luc", "de la Cruz", "jeanluc.delacruz", "es-ES"),
    ("José María", "Núñez Íñiguez", "jm.nunez", "es-MX"),
    ("Siobhán", "Ní Dhómhnaill", "siobhan", "ga-IE"),
    ("X Æ", "Null", "null", "en-US"),
    ("Test", "None", "none", None),
    ("Ana", "Silva", "ana.silva", "pt-BR"),
    ("Cher", None, "cher", "en-US"),
    (None, "Madhavan", "madhavan", "ta-IN"),
    ("Leia", "Organa-Solo 👩‍🚀", "leia.organa", "en-US"),
)
_DEPARTMENTS = ("Estates", "Site Operations", "Finance", "IT", "People & Culture", "Procurement/Plant", "Design")
_DOMAINS = ("acorn.example", "acorn.example", "acorn.example", "stjohns.example", "contractor.example")


def identifier(prefix: str, *parts: object) -> str:
    """An id in AuthRocket's form (a prefix and 22 characters), which follows from the parts alone."""
    number = int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:16])
    digits = ""
    for _ in range(20):
        number, digit = divmod(number, 62)
        digits += _BASE62[digit]
    return f"{prefix}_0v{digits}"


def users(realm_id: str, count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Users as the API gives them, `custom` included. The first `n` are the same whatever the count."""
    if count:
        yield jim_shorts(realm_id)
    for number in range(1, count):
        yield _user(realm_id, number, random.Random(f"{realm_id}/{seed}/{number}"))


def jim_shorts(realm_id: str) -> dict[str, Any]:
    """The user of the guide's example."""
    return {
        "id": identifier("usr", realm_id, "jim.shorts"),
        "state": "active",
        "realm_id": realm_id,
        "email": "jim.shorts@acorn.example",
        "email_verification": "verified",
        "first_name": "Jim",
        "last_name": "Shorts",
        "name": "Jim Shorts",
        "username": None,
        "reference": "HR-00001",
        "locale": "en-GB",
        "created_at": 1_718_270_400.0,
        "last_login_at": 1_760_000_000.125,
        "custom": {"department": "Site Operations", "cost_centre": "0042"},
    }


def _user(realm_id: str, number: int, chance: random.Random) -> dict[str, Any]:
    first, last, spelled, locale = chance.choice(_NAMES)
    email: str | None = f"{spelled}.{number}@{chance.choice(_DOMAINS)}"
    name = " ".join(part for part in (first, last) if part)
    username = None
    custom: dict[str, Any] = {}
    reference: str | None = f"HR-{number + 1:05}"
    kind = chance.random()
    if kind < 0.03:  # an API user of AuthRocket 1: a name, no address
        first, last, email, locale = None, None, None, None
        name, username = f"build agent {number}", f"api-{number}"
    elif kind < 0.06:  # known by username alone; the API then gives that as the name
        first, last, locale = None, None, None
        name = username = f"user{number}"
    elif kind < 0.10:  # signed up with an address and nothing else
        first, last = None, None
        name = str(email)
    elif kind < 0.14:  # an address from before AuthRocket normalised them
        email = "".join(part.capitalize() for part in str(email).partition("."))
    if chance.random() < 0.35:
        reference = None
    if chance.random() < 0.6:
        custom["department"] = chance.choice(_DEPARTMENTS)
    if chance.random() < 0.3:
        custom |= {"cost_centre": f"{chance.randrange(100):04}", "floor": chance.randrange(-1, 12)}
    if chance.random() < 0.05:
        custom |= {"vip": True, "nick names": ["Boss", "Chef"], "manager": {"name": "Jim Shorts"}, "note": ""}
    created = round(chance.uniform(_FIRST_CREATED, _LAST_CREATED), 3)
    signed_in = round(chance.uniform(created, _LAST_CREATED), 3) if chance.random() < 0.8 else None
    return {
        "id": identifier("usr", realm_id, number),
        "state": "inactive" if chance.random() < 0.07 else "active",
        "realm_id": realm_id,
        "email": email,
        "email_verification": chance.choice(("none", "requested", "verified", "verified")) if email else "none",
        "first_name": first,
        "last_name": last,
        "name": name,
        "username": username,
        "reference": reference,
        "locale": locale,
        "created_at": created,
        "last_login_at": signed_in,
        "custom": custom,
    }


def orgs(realm_id: str) -> list[dict[str, Any]]:
    """The organisations of a realm."""
    named = (
        ("Acorn Construction", "AC"),
        ("Acorn Plant Hire", "APH"),
        ("St Johns High School", "STJ"),
        ("Ünï & Söhne", None),
    )
    return [
        {
            "id": identifier("org", realm_id, name),
            "realm_id": realm_id,
            "state": "active",
            "name": name,
            "reference": reference,
            "created_at": 1_560_000_000.5 + place,
            "custom": {},
        }
        for place, (name, reference) in enumerate(named)
    ]


def memberships(realm_id: str, of_users: list[dict[str, Any]], of_orgs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who belongs where: most to one organisation, a few to two, owners and admins, some that expire."""
    found = []
    for user in of_users:
        chance = random.Random(f"{realm_id}/membership/{user['id']}")
        for place, org in enumerate(chance.sample(of_orgs, chance.choice((0, 1, 1, 1, 2)))):
            rights = chance.choice(
                ([], ["desk:user"], ["desk:user"], ["desk:user", "ar:admin"], ["ar:owner", "ar:admin"])
            )
            found.append(
                {
                    "id": identifier("mb", user["id"], org["id"]),
                    "org_id": org["id"],
                    "user_id": user["id"],
                    "permissions": rights,
                    "expires_at": 1_893_456_000.0 if place and chance.random() < 0.5 else None,
                    "created_at": user["created_at"],
                }
            )
    return found
