"""The real code at the size of a fleet: against stand-ins, by a virtual clock, under the limits of the services."""
