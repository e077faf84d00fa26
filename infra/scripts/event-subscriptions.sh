#!/bin/sh
# Deploy the event subscriptions: Event Grid shakes hands with the running code, and takes the password from the vault.
# Harmless to repeat. It wants the outputs of infra/main.bicep in the environment: azd sets them for its hooks.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${AZURE_LOCATION:?}" "${AZURE_RESOURCE_GROUP:?}" "${DESKBRIDGE_VAULT_NAME:?}" "${DESKBRIDGE_STORAGE_NAME:?}"
: "${DESKBRIDGE_APP_HOST:?}" "${DESKBRIDGE_TOPIC_IDS:?}"

if [ "$DESKBRIDGE_TOPIC_IDS" = "[]" ]; then
  echo "No vault is monitored yet: set DESKBRIDGE_MONITORED_VAULT_IDS, provision again, and run this again."
  exit 0
fi

az deployment sub create \
  --name deskbridge-event-subscriptions \
  --location "$AZURE_LOCATION" \
  --template-file "$here/../event-subscriptions.bicep" \
  --parameters \
  "topicIds=$DESKBRIDGE_TOPIC_IDS" \
  "resourceGroupName=$AZURE_RESOURCE_GROUP" \
  "vaultName=$DESKBRIDGE_VAULT_NAME" \
  "storageName=$DESKBRIDGE_STORAGE_NAME" \
  "appHostName=$DESKBRIDGE_APP_HOST" \
  "deliveryMode=${DESKBRIDGE_DELIVERY_MODE:-webhook}" \
  "eventDeliverySchema=${DESKBRIDGE_EVENT_SCHEMA:-EventGridSchema}" \
  --output none
echo "The event subscriptions are in place."
