"""EC2 and STS on moto's server, with the lab's machines: an independent reading of EC2, for tests only."""

from tests.assets.moto_ec2.server import MotoFleet

__all__ = ["MotoFleet"]
