// A topic's identity may put down dead letters and queue messages, and read neither tables nor anything else.
@description('Object id of the system topic\'s identity.')
param principalId string

@description('The desk\'s storage account.')
param storageName string

@description('Name of the topic, which is its subscription\'s name too. Empty: several topics share the identity.')
param topicName string

@description('Container for what cannot be delivered.')
param deadLetterContainer string

@description('Queue for delivery without a public endpoint.')
param eventsQueue string

var roles = {
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageQueueDataMessageSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
}

// Event Grid puts dead letters under the subscription's name, in capitals. A topic's identity reaches no other name.
var blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
var ownPrefix = '((!(ActionMatches{\'${blobs}/read\'}) AND !(ActionMatches{\'${blobs}/write\'}) AND !(ActionMatches{\'${blobs}/add/action\'}) AND !(ActionMatches{\'${blobs}/delete\'}) AND !(ActionMatches{\'${blobs}/move/action\'})) OR (@Resource[${blobs}:path] StringStartsWithIgnoreCase \'${topicName}/\'))'

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: storage
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: blobService
  name: deadLetterContainer
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' existing = {
  parent: storage
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' existing = {
  parent: queueService
  name: eventsQueue
}

resource onContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(container.id, principalId, roles.storageBlobDataContributor)
  scope: container
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataContributor)
    condition: empty(topicName) ? null : ownPrefix
    conditionVersion: empty(topicName) ? null : '2.0'
  }
}

resource onQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(queue.id, principalId, roles.storageQueueDataMessageSender)
  scope: queue
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageQueueDataMessageSender)
  }
}
