"""Rules: criteria and operators, first match wins. Asset types, sites and ticket rules all use them."""
