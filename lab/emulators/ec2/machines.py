"""The lab's EC2 instances as data: two accounts, three regions, and the gaps that real fleets have."""

from dataclasses import dataclass, field

from lab.emulators.ec2.accounts import ACORN, IRELAND, LONDON, ST_JOHNS, VIRGINIA


@dataclass(frozen=True)
class Machine:
    """One instance. `label` names it in the lab and seeds its ids: it never changes."""

    account: str
    region: str
    label: str
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "running"
    instance_type: str = "t3.medium"
    architecture: str = "x86_64"
    windows: bool = False
    spot: bool = False
    vpc: str = "main"
    public: bool = False
    ipv6: bool = False
    key_name: str | None = None
    profile: str | None = None
    monitored: bool = False
    launched: str = "2025-03-04T08:15:00Z"


def _tags(name: str | None = None, number: str | None = None, **others: str) -> dict[str, str]:
    tags = {key.replace("_", ":"): value for key, value in others.items()}
    if name is not None:
        tags["Name"] = name
    if number is not None:
        tags["AssetNumber"] = number
    return tags


_LONG = "ACORN-LDN-" + "render-farm-node-" * 14 + "007"  # 251 characters; AWS allows 256

MACHINES: tuple[Machine, ...] = (
    # Acorn Construction, London: the guide's two examples live here.
    Machine(
        ACORN,
        LONDON,
        "web-1",
        _tags("ACORN-LDN-WEB-01", "SERV-0001", Environment="production", Owner="web@acorn.example"),
        public=True,
        key_name="acorn-ops",
        profile="acorn-web",
        monitored=True,
    ),
    Machine(
        ACORN,
        LONDON,
        "web-2",
        _tags("ACORN-LDN-WEB-02", "SERV-0002", Environment="production", Owner="web@acorn.example"),
        public=True,
        key_name="acorn-ops",
        profile="acorn-web",
    ),
    Machine(
        ACORN,
        LONDON,
        "web-arm",
        _tags("ACORN-LDN-WEB-03", "SERV-0003", Environment="production"),
        instance_type="m7g.large",
        architecture="arm64",
        ipv6=True,
        launched="2025-06-19T21:40:07Z",
    ),
    Machine(
        ACORN,
        LONDON,
        "db-1",
        _tags("ACORN-LDN-DB-01", "SERV-0004", Environment="production", Backup="daily"),
        instance_type="r6i.2xlarge",
        vpc="data",
        profile="acorn-db",
        monitored=True,
        launched="2023-11-30T06:00:59Z",
    ),
    Machine(
        ACORN,
        LONDON,
        "db-2-stopped",
        _tags("ACORN-LDN-DB-02", "SERV-0005", Environment="staging"),
        state="stopped",
        instance_type="r6i.xlarge",
        vpc="data",
    ),
    Machine(
        ACORN,
        LONDON,
        "windows-ad",
        _tags("ACORN-LDN-AD-01", "SERV-0006", Role="Domain Controller"),
        instance_type="m5.large",
        windows=True,
        key_name="acorn-windows",
        launched="2021-01-08T12:00:00Z",
    ),
    Machine(
        ACORN,
        LONDON,
        "windows-rdp",
        _tags("ACORN-LDN-RDP-01", "SERV-0007", Environment="production"),
        instance_type="m5.xlarge",
        windows=True,
        public=True,
    ),
    Machine(
        ACORN,
        LONDON,
        "spot-build",
        _tags("acorn-ldn-build", "BUILD-0001", Environment="ci"),
        instance_type="c6a.4xlarge",
        spot=True,
    ),
    Machine(ACORN, LONDON, "quoted", _tags('ACORN-LDN "the old one" (don\'t touch)', "SERV-0008")),
    Machine(
        ACORN, LONDON, "slashes", _tags("ACORN-LDN/floor 2\\rack #7?", "SERV/0009", Path="/srv/%2Fdata/<mount>&more")
    ),
    Machine(ACORN, LONDON, "longest-name", _tags(_LONG, "SERV-0010")),
    Machine(ACORN, LONDON, "terminated", _tags("ACORN-LDN-OLD-01", "SERV-0011"), state="terminated"),
    Machine(ACORN, LONDON, "shutting-down", _tags("ACORN-LDN-OLD-02", "SERV-0012"), state="shutting-down"),
    # Acorn Construction, Ireland: what nobody tagged properly.
    Machine(ACORN, IRELAND, "no-tags"),
    Machine(ACORN, IRELAND, "no-name", _tags(number="SERV-0020", Environment="production")),
    Machine(ACORN, IRELAND, "empty-name", _tags("", "SERV-0021")),
    Machine(ACORN, IRELAND, "blank-name", _tags("   ", "SERV-0022")),
    Machine(ACORN, IRELAND, "empty-number", _tags("ACORN-DUB-WEB-01", "", Environment="production")),
    Machine(ACORN, IRELAND, "twin-1", _tags("ACORN-DUB-APP", "SERV-0023")),
    Machine(ACORN, IRELAND, "twin-2", _tags("ACORN-DUB-APP", "SERV-0024")),
    Machine(ACORN, IRELAND, "lower-case-number", _tags("ACORN-DUB-APP-3", "serv-0025")),
    Machine(ACORN, IRELAND, "wrong-case-key", {"name": "acorn-dub-misc", "assetnumber": "SERV-0026"}),
    Machine(
        ACORN,
        IRELAND,
        "dotted-keys",
        _tags("ACORN-DUB-K8S-01", **{"kubernetes.io/cluster/dub": "owned", "aws:autoscaling:groupName": "dub-nodes"}),
        ipv6=True,
    ),
    Machine(ACORN, IRELAND, "stopping", _tags("ACORN-DUB-BATCH-01", "SERV-0027"), state="stopping"),
    Machine(
        ACORN,
        IRELAND,
        "many-tags",
        _tags("ACORN-DUB-TAGGED", "SERV-0028", **{f"cost_{n:02}": f"centre {n}" for n in range(48)}),
    ),
    # Acorn Construction, Virginia: names from everywhere.
    Machine(ACORN, VIRGINIA, "umlauts", _tags("ACORN-NYC-Büro-Straße-01", "SERV-0030", Standort="Zürich")),
    Machine(ACORN, VIRGINIA, "japanese", _tags("東京-バックアップ", "SERV-0031", 所有者="佐藤")),
    Machine(ACORN, VIRGINIA, "arabic", _tags("خادم-الويب", "SERV-0032")),
    Machine(ACORN, VIRGINIA, "emoji", _tags("ACORN-NYC 🚀 launch pad", "SERV-0033"), spot=True),
    Machine(ACORN, VIRGINIA, "combining", _tags("ACORN-NYC-Cafe\u0301", "SERV-0034")),  # é of two code points
    Machine(ACORN, VIRGINIA, "pending", _tags("ACORN-NYC-NEW", "SERV-0035"), state="pending"),
    # St Johns High School: reached by an assumed role with an external id.
    Machine(
        ST_JOHNS,
        LONDON,
        "moodle",
        _tags("STJ-MOODLE", "SERV-0100", Environment="production", CostCentre="0042"),
        public=True,
        key_name="stj",
    ),
    Machine(ST_JOHNS, LONDON, "sims", _tags("STJ-SIMS", "SERV-0101"), windows=True, instance_type="m5.large"),
    Machine(ST_JOHNS, LONDON, "proxy", _tags("STJ-PROXY", "PRX-0001"), instance_type="t4g.small", architecture="arm64"),
    Machine(ST_JOHNS, LONDON, "same-number-as-acorn", _tags("STJ-FILES", "SERV-0001")),
    Machine(ST_JOHNS, LONDON, "exam-stopped", _tags("STJ-EXAMS", "SERV-0102", Schedule="June only"), state="stopped"),
    Machine(
        ST_JOHNS,
        IRELAND,
        "backup",
        _tags("STJ-BACKUP", "SERV-0103", Backup="yes"),
        instance_type="t3a.nano",
        vpc="data",
    ),
    Machine(ST_JOHNS, IRELAND, "untagged"),
    Machine(ST_JOHNS, IRELAND, "gone", _tags("STJ-LEGACY", "SERV-0104"), state="terminated"),
    Machine(
        ST_JOHNS,
        VIRGINIA,
        "robotics",
        _tags("STJ-ROBOTICS-CLUB", "LAB-0001"),
        instance_type="g4dn.xlarge",
        ipv6=True,
        spot=True,
    ),
    Machine(ST_JOHNS, VIRGINIA, "newline", _tags("STJ-LAB\tTABLE 3", "LAB-0002", Notes="line one\nline two")),
)
