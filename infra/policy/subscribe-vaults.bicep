// The policy definition that subscribes every vault of a management group. Assign it with an identity of its own.
targetScope = 'managementGroup'

var policy = loadJsonContent('subscribe-vaults.json')

resource definition 'Microsoft.Authorization/policyDefinitions@2023-04-01' = {
  name: 'deskbridge-subscribe-vaults'
  properties: {
    displayName: 'Key Vault events to Deskbridge'
    description: 'Gives every vault without one a system topic and an event subscription into the desk\'s storage queue.'
    policyType: 'Custom'
    mode: 'Indexed'
    metadata: { category: 'Key Vault', version: '1.0.0' }
    parameters: policy.parameters
    policyRule: policy.policyRule
  }
}

output policyDefinitionId string = definition.id
