"""The emulators stand on loopback, which no desk allows unless its deployer says so: the app settings that do."""

LAB_HOSTS = {
    "DESKBRIDGE_VAULT_HOSTS": "localhost",
    "DESKBRIDGE_SIGN_IN_HOSTS": "localhost",
    "DESKBRIDGE_AUTHROCKET_HOSTS": "localhost 127.0.0.1",
}
