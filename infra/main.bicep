// The whole desk: one resource group, and in the groups of the monitored vaults their system topics and subscriptions.
// Written against the vendor's published types, and compiled; it has not been deployed where it was written.
targetScope = 'subscription'

@description('Name of this installation; part of the names of its resources.')
@minLength(1)
@maxLength(24)
param environmentName string

@description('Azure region. It must offer Flex Consumption: az functionapp list-flexconsumption-locations.')
param location string

@description('Resource group of the desk; made when it is not there.')
param resourceGroupName string = 'rg-${environmentName}'

@description('Which identity the app has. UserAssigned lets every role stand before the app first starts.')
@allowed(['SystemAssigned', 'UserAssigned'])
param identityType string = 'UserAssigned'

@description('Python of the workers.')
@allowed(['3.12', '3.13'])
param pythonVersion string = '3.12'

@description('Memory of one instance, in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('The most instances that run at once. It bounds the cost of a flood and the load on AWS.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('HTTP instances that never sleep: no cold start for the webhook, at a standing price. 0 is enough.')
@minValue(0)
param alwaysReadyHttpInstances int = 0

@description('How events arrive: at the public webhook, or in a storage queue without any public endpoint.')
@allowed(['webhook', 'storageQueue'])
param deliveryMode string = 'webhook'

@description('Resource ids of the vaults whose expiries become tickets; any subscription of the tenant.')
param monitoredVaultIds array = []

@description('Ids of the subscriptions whose vaults a pattern finds: the app\'s identity may see them, and list what they hold.')
param discoveredSubscriptionIds array = []

@description('System topics that exist already, as {vault id: topic id}: Azure allows one per source. Each needs a system-assigned identity.')
param existingSystemTopics object = {}

@description('Second stage: only once the code runs, because Event Grid shakes hands with it.')
param deployEventSubscriptions bool = false

@description('Form of the events. The product reads both.')
@allowed(['EventGridSchema', 'CloudEventSchemaV1_0'])
param eventDeliverySchema string = 'EventGridSchema'

@description('Storage and vault behind private endpoints; with deliveryMode storageQueue the app as well.')
param privateNetworking bool = false

@description('Address space of the virtual network: a /24 or larger.')
param networkPrefix string = '10.80.0.0/24'

@description('Only Event Grid and operatorAddresses may call the app. docs/deploy.md says what that breaks.')
param restrictAccess bool = false

@description('Addresses of operators in CIDR form, such as 203.0.113.7/32.')
param operatorAddresses array = []

@description('Client id of an app registration: people then sign in with Entra before the API answers. Empty: access tokens alone.')
param entraClientId string = ''

@description('Client ids of the applications whose tokens the sign-in takes, beside the app registration itself.')
param entraAllowedApplications array = []

@description('Directory of that app registration.')
param entraTenantId string = subscription().tenantId

@description('Who gets the alerts; empty shows them in the portal only.')
param alertEmail string = ''

@description('Three metric alerts for each vault. They are priced one by one: with hundreds of vaults turn them off.')
param alertsPerVault bool = true

@description('Object id of who deploys and rotates: may write secrets in the desk\'s vault and read its tables. Empty: nobody.')
param operatorPrincipalId string = ''

@description('What kind of principal that is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorPrincipalType string = 'User'

@description('When the EC2 import starts: NCRONTAB, UTC.')
param ec2Schedule string = '0 0 2 * * *'

@description('When the AuthRocket import starts: NCRONTAB, UTC.')
param authRocketSchedule string = '0 30 2 * * *'

@description('When the vaults are swept: NCRONTAB, UTC.')
param sweepSchedule string = '0 0 3 * * *'

@description('When stalled runs are taken up again: NCRONTAB, UTC.')
param housekeepingSchedule string = '0 */15 * * * *'

@description('Days that logs are kept; 30 cost nothing extra.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Logs stop for the day after this many GB.')
@minValue(1)
param dailyLogCapGb int = 1

@description('Tenant of an app registration, for credential stores of the method client_secret; empty when there is none.')
param appRegistrationTenantId string = ''

@description('Client id of that app registration.')
param appRegistrationClientId string = ''

@description('Name of the secret in the host\'s vault that holds its client secret.')
param appRegistrationSecretName string = 'app-registration-secret'


@description('Hosts that settings documents may name although their addresses are private, apart by spaces: host or host:port.')
param allowedPrivateHosts string = ''

@description('Further hosts that a credential store may name as vault_url, apart by spaces.')
param vaultHosts string = ''

@description('Further hosts that may get client secrets, apart by spaces.')
param signInHosts string = ''

@description('Further hosts that a credential store may name as resource_manager, apart by spaces.')
param resourceManagerHosts string = ''

@description('Further hosts that a realm may name as endpoint_url, apart by spaces.')
param authRocketHosts string = ''

@description('Further app settings, for credential stores that name their own.')
@secure()
param additionalAppSettings object = {}

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var appName = 'func-${environmentName}-${token}'
var storageName = 'st${token}'
var vaultName = 'kv-${token}'
var hostVaultName = 'kvh-${token}'
var componentName = 'appi-${environmentName}-${token}'
var userAssigned = identityType == 'UserAssigned'
// The app can hide only when nobody needs to reach it: Event Grid does not deliver to private endpoints.
var publicApp = !(privateNetworking && deliveryMode == 'storageQueue')
// Known before anything runs: loops and scopes cannot wait for outputs.
var topicIds = [
  for vaultId in monitoredVaultIds: union(
    {
      '${vaultId}': '/subscriptions/${split(vaultId, '/')[2]}/resourceGroups/${split(vaultId, '/')[4]}/providers/Microsoft.EventGrid/systemTopics/deskbridge-${last(split(vaultId, '/'))}'
    },
    existingSystemTopics
  )[vaultId]
]

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: resourceGroupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = if (userAssigned) {
  name: 'deskbridge-identity'
  scope: group
  params: {
    name: 'id-${environmentName}-${token}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'deskbridge-monitoring'
  scope: group
  params: {
    workspaceName: 'log-${environmentName}-${token}'
    componentName: componentName
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGb: dailyLogCapGb
  }
}

module storage 'modules/storage.bicep' = {
  name: 'deskbridge-storage'
  scope: group
  params: {
    name: storageName
    location: location
    tags: tags
    closed: privateNetworking
    operatorAddresses: operatorAddresses
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'deskbridge-vault'
  scope: group
  params: {
    name: vaultName
    location: location
    tags: tags
    closed: privateNetworking
    operatorAddresses: operatorAddresses
    workspaceId: monitoring.outputs.workspaceId
  }
}

module hostVault 'modules/host-vault.bicep' = {
  name: 'deskbridge-host-vault'
  scope: group
  params: {
    name: hostVaultName
    location: location
    tags: tags
    closed: privateNetworking
    operatorAddresses: operatorAddresses
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'deskbridge-network'
  scope: group
  params: {
    name: 'vnet-${environmentName}-${token}'
    location: location
    tags: tags
    prefix: networkPrefix
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
    hostVaultId: hostVault.outputs.id
  }
}

// A user-assigned identity exists before the app, so its rights do too; see rolesAfterApp for the other kind.
module rolesBeforeApp 'modules/roles.bicep' = if (userAssigned) {
  name: 'deskbridge-roles-before-app'
  scope: group
  params: {
    principalId: identity!.outputs.principalId
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    hostVaultName: hostVault.outputs.name
    componentName: monitoring.outputs.componentName
  }
}

module app 'modules/app.bicep' = {
  name: 'deskbridge-app'
  scope: group
  params: {
    name: appName
    planName: 'plan-${environmentName}-${token}'
    location: location
    tags: tags
    identityId: userAssigned ? identity!.outputs.id : ''
    identityClientId: userAssigned ? identity!.outputs.clientId : ''
    storageName: storage.outputs.name
    deploymentContainer: storage.outputs.deploymentContainer
    hostVaultName: hostVault.outputs.name
    hostVaultUrl: hostVault.outputs.url
    insightsConnectionString: monitoring.outputs.connectionString
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyHttpInstances: alwaysReadyHttpInstances
    publicAccess: publicApp
    restrictAccess: restrictAccess
    operatorAddresses: operatorAddresses
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
    entraClientId: entraClientId
    entraTenantId: entraTenantId
    entraAllowedApplications: entraAllowedApplications
    allowedHosts: {
      privateHosts: allowedPrivateHosts
      vaultHosts: vaultHosts
      signInHosts: signInHosts
      resourceManagerHosts: resourceManagerHosts
      authRocketHosts: authRocketHosts
    }
    ec2Schedule: ec2Schedule
    authRocketSchedule: authRocketSchedule
    sweepSchedule: sweepSchedule
    housekeepingSchedule: housekeepingSchedule
    appRegistrationTenantId: appRegistrationTenantId
    appRegistrationClientId: appRegistrationClientId
    appRegistrationSecretName: appRegistrationSecretName
    additionalAppSettings: additionalAppSettings
  }
  dependsOn: [
    rolesBeforeApp
  ]
}

module appEndpoint 'modules/app-endpoint.bicep' = if (!publicApp) {
  name: 'deskbridge-app-endpoint'
  scope: group
  params: {
    location: location
    tags: tags
    appId: app.outputs.id
    appName: app.outputs.name
    networkId: network!.outputs.networkId
    subnetId: network!.outputs.endpointSubnetId
  }
}

module rolesAfterApp 'modules/roles.bicep' = if (!userAssigned) {
  name: 'deskbridge-roles-after-app'
  scope: group
  params: {
    principalId: app.outputs.principalId
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    hostVaultName: hostVault.outputs.name
    componentName: monitoring.outputs.componentName
  }
}

module operatorRoles 'modules/operator-roles.bicep' = if (!empty(operatorPrincipalId)) {
  name: 'deskbridge-operator-roles'
  scope: group
  params: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    hostVaultName: hostVault.outputs.name
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'deskbridge-alerts'
  scope: group
  params: {
    name: environmentName
    location: location
    tags: tags
    componentId: monitoring.outputs.componentId
    alertEmail: alertEmail
  }
}

module vaultReaders 'modules/vault-reader.bicep' = [
  for vaultId in monitoredVaultIds: {
    name: 'deskbridge-reader-${uniqueString(vaultId)}'
    scope: resourceGroup(split(vaultId, '/')[2], split(vaultId, '/')[4])
    params: {
      vaultName: last(split(vaultId, '/'))
      principalId: userAssigned ? identity!.outputs.principalId : app.outputs.principalId
    }
  }
]

module subscriptionReaders 'modules/subscription-reader.bicep' = [
  for subscriptionId in discoveredSubscriptionIds: {
    name: 'deskbridge-discovery-${uniqueString(subscriptionId)}'
    scope: subscription(subscriptionId)
    params: {
      principalId: userAssigned ? identity!.outputs.principalId : app.outputs.principalId
    }
  }
]

module topics 'modules/system-topic.bicep' = [
  for (vaultId, index) in monitoredVaultIds: {
    name: 'deskbridge-topic-${uniqueString(vaultId)}'
    scope: resourceGroup(split(topicIds[index], '/')[2], split(topicIds[index], '/')[4])
    params: {
      name: last(split(topicIds[index], '/'))
      create: !contains(existingSystemTopics, vaultId)
      vaultId: vaultId
      location: vaultReaders[index].outputs.location
      tags: tags
      actionGroupId: alerts.outputs.actionGroupId
      alertsPerVault: alertsPerVault
    }
  }
]

module topicRights 'modules/topic-rights.bicep' = [
  for (vaultId, index) in monitoredVaultIds: {
    name: 'deskbridge-topic-rights-${uniqueString(vaultId)}'
    scope: group
    params: {
      principalId: topics[index].outputs.principalId
      topicName: last(split(topicIds[index], '/'))
      storageName: storage.outputs.name
      deadLetterContainer: storage.outputs.deadLetterContainer
      eventsQueue: storage.outputs.eventsQueue
    }
  }
]

module eventSubscriptions 'event-subscriptions.bicep' = if (deployEventSubscriptions) {
  name: 'deskbridge-event-subscriptions'
  params: {
    topicIds: topicIds
    resourceGroupName: group.name
    vaultName: vault.outputs.name
    storageName: storage.outputs.name
    appHostName: app.outputs.hostName
    deliveryMode: deliveryMode
    eventDeliverySchema: eventDeliverySchema
  }
  dependsOn: [
    topics
    topicRights
  ]
}

output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output DESKBRIDGE_APP_NAME string = app.outputs.name
output DESKBRIDGE_APP_HOST string = app.outputs.hostName
output DESKBRIDGE_VAULT_NAME string = vault.outputs.name
output DESKBRIDGE_HOST_VAULT_NAME string = hostVault.outputs.name
output DESKBRIDGE_VAULT_URL string = vault.outputs.url
output DESKBRIDGE_STORAGE_NAME string = storage.outputs.name
output DESKBRIDGE_TABLE_ENDPOINT string = storage.outputs.tableEndpoint
output DESKBRIDGE_DELIVERY_MODE string = deliveryMode
output DESKBRIDGE_EVENT_SCHEMA string = eventDeliverySchema
output DESKBRIDGE_TOPIC_IDS string = string(topicIds)
output DESKBRIDGE_MONITORED_VAULT_IDS string = string(monitoredVaultIds)
output DESKBRIDGE_IDENTITY_CLIENT_ID string = userAssigned ? identity!.outputs.clientId : ''
