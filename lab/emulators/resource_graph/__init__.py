"""Azure Resource Graph as far as somebody asks it for vaults: queries of a few operators, pages, rights, throttling."""

from lab.emulators.resource_graph.server import ResourceGraphLab

__all__ = ["ResourceGraphLab"]
