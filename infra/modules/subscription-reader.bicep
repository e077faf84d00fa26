// Discovery may see which vaults a subscription has, and the sweep may list what they hold, never read a value.
targetScope = 'subscription'

@description('Object id of the app\'s identity.')
param principalId string

var reader = 'acdd72a7-3385-48ef-bd42-f606fba81ae7'
var keyVaultReader = '21090545-7ca7-4776-b22c-e363652d74d2'

resource readers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for roleId in [reader, keyVaultReader]: {
    name: guid(subscription().id, principalId, roleId)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
    }
  }
]
