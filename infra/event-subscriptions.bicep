// The second stage: what makes Event Grid call. It runs when the code answers, and again when the password changes.
targetScope = 'subscription'

@description('Resource ids of the system topics.')
param topicIds array

@description('Resource group of the desk.')
param resourceGroupName string

@description('The desk\'s own vault, which holds the webhook\'s credential.')
param vaultName string

@description('Storage account for dead letters and for the events queue.')
param storageName string

@description('Host name of the function app.')
param appHostName string

@description('Where events go.')
@allowed(['webhook', 'storageQueue'])
param deliveryMode string = 'webhook'

@description('Form of the events.')
@allowed(['EventGridSchema', 'CloudEventSchemaV1_0'])
param eventDeliverySchema string = 'EventGridSchema'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' existing = {
  name: resourceGroupName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
  scope: group
}

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
  scope: group
}

module webhooks 'modules/webhook-subscription.bicep' = [
  for topicId in topicIds: if (deliveryMode == 'webhook') {
    name: 'deskbridge-webhook-${uniqueString(topicId)}'
    scope: resourceGroup(split(topicId, '/')[2], split(topicId, '/')[4])
    params: {
      topicName: last(split(topicId, '/'))
      endpointUrl: 'https://${appHostName}/api/events/key-vault'
      // Resource Manager reads the secret itself: it is in no script, no parameter file and no log.
      credential: vault.getSecret('key-vault-webhook')
      storageId: storage.id
      eventDeliverySchema: eventDeliverySchema
    }
  }
]

module queues 'modules/queue-subscription.bicep' = [
  for topicId in topicIds: if (deliveryMode == 'storageQueue') {
    name: 'deskbridge-queue-${uniqueString(topicId)}'
    scope: resourceGroup(split(topicId, '/')[2], split(topicId, '/')[4])
    params: {
      topicName: last(split(topicId, '/'))
      storageId: storage.id
      eventDeliverySchema: eventDeliverySchema
    }
  }
]
