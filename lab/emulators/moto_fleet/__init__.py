"""The lab's AWS: EC2 and STS on moto's server, two accounts, three regions, about 40 instances, the same every time."""

from lab.emulators.ec2.accounts import ACCOUNTS, ACORN, NOT_OPTED_IN, REGIONS, ST_JOHNS, Credentials
from lab.emulators.moto_fleet.machines import MACHINES, Machine
from lab.emulators.moto_fleet.server import Fleet

__all__ = ["ACCOUNTS", "ACORN", "MACHINES", "NOT_OPTED_IN", "REGIONS", "ST_JOHNS", "Credentials", "Fleet", "Machine"]
