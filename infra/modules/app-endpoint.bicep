// The app behind a private endpoint: only with events by storage queue, because Event Grid cannot reach in here.
@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the function app.')
param appId string

@description('Name of the function app.')
param appName string

@description('The virtual network.')
param networkId string

@description('Subnet for private endpoints.')
param subnetId string

// The platform publishes no function that gives this domain.
var zones = {
  AzureCloud: 'privatelink.azurewebsites.net'
  AzureUSGovernment: 'privatelink.azurewebsites.us'
  AzureChinaCloud: 'privatelink.chinacloudsites.cn'
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: zones[environment().name]
  location: 'global'
  tags: tags
}

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: zone
  name: 'desk-sites'
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: networkId }
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: '${appName}-endpoint'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: 'sites'
        properties: {
          privateLinkServiceId: appId
          groupIds: ['sites']
        }
      }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'sites'
        properties: { privateDnsZoneId: zone.id }
      }
    ]
  }
}
