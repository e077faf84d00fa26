// The function app on Flex Consumption. Everything it reaches, it reaches with its own identity.
@description('Name of the app.')
param name string

@description('Name of its plan.')
param planName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the user-assigned identity; empty for a system-assigned one.')
param identityId string

@description('Client id of the user-assigned identity; empty for a system-assigned one.')
param identityClientId string

@description('The desk\'s storage account.')
param storageName string

@description('Container of the deployment packages.')
param deploymentContainer string

@description('The host\'s vault: its keys, and what app settings refer to.')
param hostVaultName string

@description('Address of the host\'s vault.')
param hostVaultUrl string

@description('Address of Application Insights.')
param insightsConnectionString string

@description('Python of the workers.')
param pythonVersion string

@description('Memory of one instance, in MB.')
param instanceMemoryMB int

@description('The most instances at once.')
param maximumInstanceCount int

@description('HTTP instances that never sleep.')
param alwaysReadyHttpInstances int

@description('Whether the app has a public address at all.')
param publicAccess bool

@description('Only Event Grid and operatorAddresses may call it.')
param restrictAccess bool

@description('Addresses of operators in CIDR form.')
param operatorAddresses array

@description('Subnet for outgoing traffic; empty without a virtual network.')
param subnetId string

@description('Client id of the app registration for sign-in; empty without Entra sign-in.')
param entraClientId string

@description('Directory of that app registration.')
param entraTenantId string

@description('Client ids of applications whose tokens are taken, beside the app registration.')
param entraAllowedApplications array

@description('Hosts that documents may name beside the known ones: {privateHosts, vaultHosts, signInHosts, resourceManagerHosts, authRocketHosts}.')
param allowedHosts object

@description('NCRONTAB, UTC.')
param ec2Schedule string

@description('NCRONTAB, UTC.')
param authRocketSchedule string

@description('NCRONTAB, UTC.')
param sweepSchedule string

@description('NCRONTAB, UTC.')
param housekeepingSchedule string

@description('Tenant of an app registration for credential stores; empty when there is none.')
param appRegistrationTenantId string

@description('Its client id.')
param appRegistrationClientId string

@description('The secret of the host\'s vault with its client secret.')
param appRegistrationSecretName string

@description('Further app settings. The product\'s own win.')
@secure()
param additionalAppSettings object

var userAssigned = !empty(identityId)
var productSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: userAssigned ? 'ClientId=${identityClientId};Authorization=AAD' : 'Authorization=AAD'
  // The host's keys: in a vault with an audit log, not in a blob that every owner of blobs reads.
  AzureWebJobsSecretStorageType: 'keyvault'
  AzureWebJobsSecretStorageKeyVaultUri: hostVaultUrl
  AzureWebJobsDisableHomepage: 'true'
  // In bytes, above the product's own limits, which refuse with a reason.
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '2097152'
  DESKBRIDGE_EC2_SCHEDULE: ec2Schedule
  DESKBRIDGE_AUTHROCKET_SCHEDULE: authRocketSchedule
  DESKBRIDGE_SWEEP_SCHEDULE: sweepSchedule
  DESKBRIDGE_HOUSEKEEPING_SCHEDULE: housekeepingSchedule
  DESKBRIDGE_OUTBOX_SCHEDULE: '0 * * * * *'
  DESKBRIDGE_RUNS_KEPT_DAYS: '90'
  DESKBRIDGE_AUDIT_KEPT_DAYS: '400'
  DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE: 'true'
  DESKBRIDGE_ALLOWED_PRIVATE_HOSTS: allowedHosts.privateHosts
  DESKBRIDGE_VAULT_HOSTS: allowedHosts.vaultHosts
  DESKBRIDGE_SIGN_IN_HOSTS: allowedHosts.signInHosts
  DESKBRIDGE_RESOURCE_MANAGER_HOSTS: allowedHosts.resourceManagerHosts
  DESKBRIDGE_AUTHROCKET_HOSTS: allowedHosts.authRocketHosts
  DESKBRIDGE_EVENT_BODY_LIMIT: '1572864'
  DESKBRIDGE_OPENTELEMETRY: 'false'
  PYDANTIC_DISABLE_PLUGINS: '__all__'
}
var identitySettings = userAssigned
  ? {
      AzureWebJobsStorage__clientId: identityClientId
      AzureWebJobsSecretStorageKeyVaultClientId: identityClientId
    }
  : {}
var appRegistrationSettings = empty(appRegistrationClientId)
  ? {}
  : {
      AzureTenantId: appRegistrationTenantId
      AzureClientId: appRegistrationClientId
      AzureClientSecret: '@Microsoft.KeyVault(VaultName=${hostVaultName};SecretName=${appRegistrationSecretName})'
    }
var operatorRules = [
  for (address, index) in operatorAddresses: {
    name: 'operator-${index}'
    priority: 200 + index
    action: 'Allow'
    ipAddress: address
  }
]
var eventGridRule = [
  {
    name: 'event-grid'
    priority: 100
    action: 'Allow'
    ipAddress: 'AzureEventGrid'
    tag: 'ServiceTag'
  }
]

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'desk' })
  kind: 'functionapp,linux'
  identity: userAssigned
    ? { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
    : { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    keyVaultReferenceIdentity: userAssigned ? identityId : 'SystemAssigned'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      remoteDebuggingEnabled: false
      ipSecurityRestrictionsDefaultAction: restrictAccess ? 'Deny' : 'Allow'
      ipSecurityRestrictions: restrictAccess ? concat(eventGridRule, operatorRules) : []
      // Deployments come from the same operators.
      scmIpSecurityRestrictionsUseMain: restrictAccess
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${deploymentContainer}'
          authentication: userAssigned
            ? { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
            : { type: 'SystemAssignedIdentity' }
        }
      }
      runtime: { name: 'python', version: pythonVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyHttpInstances > 0 ? [{ name: 'http', instanceCount: alwaysReadyHttpInstances }] : []
      }
    }
  }
}

// Who deploys signs in with Entra: the publishing profile's user name and password open nothing.
resource deploymentPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(additionalAppSettings, appRegistrationSettings, identitySettings, productSettings)
}

resource signIn 'Microsoft.Web/sites/config@2024-04-01' = if (!empty(entraClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      // Each of these has a credential of its own, or says nothing.
      excludedPaths: [
        '/api/health'
        '/api/events/key-vault'
        '/api/events/authrocket/*'
        '/api/calendar/expiries.ics'
        '/api/console/*'
      ]
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: entraClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${entraTenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            entraClientId
            'api://${entraClientId}'
          ]
          // A token that another application asked for is refused, whoever is signed in there.
          defaultAuthorizationPolicy: {
            allowedApplications: concat([entraClientId], entraAllowedApplications)
          }
        }
      }
    }
    login: {
      tokenStore: { enabled: false }
    }
  }
  dependsOn: [
    settings
  ]
}

output id string = app.id
output name string = app.name
output hostName string = app.properties.defaultHostName
output principalId string = userAssigned ? '' : app.identity.principalId
