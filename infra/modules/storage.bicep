// The storage account: tables, queues and containers of the desk. No shared keys, nothing public.
@description('Name of the account.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Only private endpoints, trusted Azure services and operatorAddresses get in.')
param closed bool

@description('Addresses of operators in CIDR form.')
param operatorAddresses array

@description('Log workspace for the record of who read and wrote what.')
param workspaceId string

@description('Days after which dead letters are removed. The product has recorded them as tickets or faults long before.')
@minValue(7)
param deadLetterDays int = 90

var tables = ['tickets', 'assets', 'users', 'runs', 'settings', 'outbox', 'index', 'audit', 'access', 'vaults']
var queues = [
  'import-parts'
  'import-parts-poison'
  'key-vault-events'
  'key-vault-events-poison'
  'outbox'
  'outbox-poison'
  'sweeps'
  'sweeps-poison'
]
var deadLetterContainerName = 'event-grid-dead-letters'
var deploymentContainerName = 'deployment-packages'
var eventsQueueName = 'key-vault-events'

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      // Event Grid writes dead letters and queue messages as a trusted service, with its topic's own identity.
      bypass: 'AzureServices'
      defaultAction: closed ? 'Deny' : 'Allow'
      // The storage firewall refuses /31 and /32 in CIDR form: single addresses stand alone.
      ipRules: [
        for address in operatorAddresses: {
          action: 'Allow'
          value: replace(address, '/32', '')
        }
      ]
    }
  }
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2024-01-01' = [
  for tableName in tables: {
    parent: tableService
    name: tableName
  }
]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = [
  for queueName in queues: {
    parent: queueService
    name: queueName
  }
]

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 14 }
    containerDeleteRetentionPolicy: { enabled: true, days: 14 }
  }
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobService
  name: deadLetterContainerName
  properties: { publicAccess: 'None' }
}

resource deploymentPackages 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobService
  name: deploymentContainerName
  properties: { publicAccess: 'None' }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'remove-old-dead-letters'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob', 'appendBlob']
              prefixMatch: ['${deadLetterContainerName}/']
            }
            actions: {
              baseBlob: {
                delete: { daysAfterModificationGreaterThan: deadLetterDays }
              }
            }
          }
        }
      ]
    }
  }
}

resource tableAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'deskbridge-audit'
  scope: tableService
  properties: {
    workspaceId: workspaceId
    logs: [
      { categoryGroup: 'audit', enabled: true }
    ]
  }
}

resource blobAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'deskbridge-audit'
  scope: blobService
  properties: {
    workspaceId: workspaceId
    logs: [
      { categoryGroup: 'audit', enabled: true }
    ]
  }
}

resource queueAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'deskbridge-audit'
  scope: queueService
  properties: {
    workspaceId: workspaceId
    // Not reads: the host asks its queues a million times a month.
    logs: [
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

output id string = account.id
output name string = account.name
output tableEndpoint string = account.properties.primaryEndpoints.table
output deploymentContainer string = deploymentPackages.name
output deadLetterContainer string = deadLetters.name
output eventsQueue string = eventsQueueName
