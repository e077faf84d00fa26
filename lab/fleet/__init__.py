"""The lab's AWS: EC2 and STS on moto's server, two accounts, three regions, about 40 instances, the same every time."""

from lab.fleet.machines import ACCOUNTS, ACORN, MACHINES, NOT_OPTED_IN, REGIONS, ST_JOHNS, Machine
from lab.fleet.server import Credentials, Fleet

__all__ = ["ACCOUNTS", "ACORN", "MACHINES", "NOT_OPTED_IN", "REGIONS", "ST_JOHNS", "Credentials", "Fleet", "Machine"]
