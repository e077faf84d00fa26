"""Stand-ins for the services that the product speaks to. They import nothing of the product."""
