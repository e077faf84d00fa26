"""The composition root: the only place that builds objects, each once, and the only lazy imports.

Call it through the module (`bootstrap.settings()`), so that one replacement serves a test.
"""

from shared.bootstrap.for_every_room import *
from shared.bootstrap.for_imports import *
from shared.bootstrap.for_overview import *
from shared.bootstrap.for_tickets import *
from shared.bootstrap.singleton import *
