// What the person or pipeline that deploys may do with data: write the webhook's password, back up and restore tables.
@description('Object id of the operator.')
param principalId string

@description('User, Group or ServicePrincipal.')
param principalType string

@description('The desk\'s storage account.')
param storageName string

@description('The desk\'s vault.')
param vaultName string

@description('The host\'s vault.')
param hostVaultName string

var roles = {
  keyVaultSecretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource onVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, roles.keyVaultSecretsOfficer)
  scope: vault
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsOfficer)
  }
}

resource hostVault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: hostVaultName
}

resource onHostVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hostVault.id, principalId, roles.keyVaultSecretsOfficer)
  scope: hostVault
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsOfficer)
  }
}

resource onStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, principalId, roles.storageTableDataContributor)
  scope: storage
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageTableDataContributor)
  }
}
