// For vaults that are subscribed by policy: one identity that all their topics deliver with, into the desk's queue.
// Deploy it into the desk's resource group, once, before the policy is assigned.
@description('Name of the identity.')
param name string = 'id-deskbridge-delivery'

@description('Azure region.')
param location string = resourceGroup().location

@description('The desk\'s storage account. Its firewall must be open: behind one Event Grid takes system-assigned identities only.')
param storageName string

module identity '../modules/identity.bicep' = {
  name: 'deskbridge-delivery-identity'
  params: {
    name: name
    location: location
    tags: {}
  }
}

module rights '../modules/topic-rights.bicep' = {
  name: 'deskbridge-delivery-rights'
  params: {
    principalId: identity.outputs.principalId
    topicName: ''
    storageName: storageName
    deadLetterContainer: 'event-grid-dead-letters'
    eventsQueue: 'key-vault-events'
  }
}

output deliveryIdentityId string = identity.outputs.id
