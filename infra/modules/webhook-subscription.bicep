// Events of one vault to the webhook, with the credential as a secret header.
@description('The system topic, in this resource group.')
param topicName string

@description('Address of the webhook. It holds no secret here, but the service counts it as one.')
@secure()
param endpointUrl string

@description('JSON with username and password, from the desk\'s vault.')
@secure()
param credential string

@description('Storage account for dead letters.')
param storageId string

@description('Form of the events.')
param eventDeliverySchema string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  // Dead letters lie under this name, and each topic may write under its own alone: see topic-rights.bicep.
  name: topicName
  properties: {
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: endpointUrl
        maxEventsPerBatch: 10
        preferredBatchSizeInKilobytes: 64
        minimumTlsVersionAllowed: '1.2'
        deliveryAttributeMappings: [
          {
            name: 'Authorization'
            type: 'Static'
            properties: {
              isSecret: true
              value: 'Basic ${base64('${json(credential).username}:${json(credential).password}')}'
            }
          }
        ]
      }
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storageId
          blobContainerName: 'event-grid-dead-letters'
        }
      }
    }
    eventDeliverySchema: eventDeliverySchema
    filter: {
      includedEventTypes: [
        'Microsoft.KeyVault.SecretNewVersionCreated'
        'Microsoft.KeyVault.SecretNearExpiry'
        'Microsoft.KeyVault.SecretExpired'
        'Microsoft.KeyVault.KeyNewVersionCreated'
        'Microsoft.KeyVault.KeyNearExpiry'
        'Microsoft.KeyVault.KeyExpired'
        'Microsoft.KeyVault.CertificateNewVersionCreated'
        'Microsoft.KeyVault.CertificateNearExpiry'
        'Microsoft.KeyVault.CertificateExpired'
      ]
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
  }
}
