"""What Azure charges, in US dollars of a common region, as its price pages stood in 2026. Change it here.

Sources: the price pages of Azure Storage (tables, queues), Azure Functions (Flex Consumption) and Key Vault.
"""

TABLE_TRANSACTIONS_PER_10_000 = 0.00036
QUEUE_OPERATIONS_PER_10_000 = 0.0004
FUNCTION_GB_SECOND = 0.000026
FUNCTION_EXECUTIONS_PER_MILLION = 0.40
KEY_VAULT_OPERATIONS_PER_10_000 = 0.03
TABLE_GB_MONTH = 0.045
