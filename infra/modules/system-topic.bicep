// The system topic of one vault: made here, or the one that exists, because Azure allows one per source.
@description('Name of the topic.')
param name string

@description('Make it; false takes the one that is there.')
param create bool

@description('The vault whose events it carries.')
param vaultId string

@description('Region of the vault.')
param location string

@description('Tags of every resource.')
param tags object

@description('Who hears of trouble; empty shows it in the portal only.')
param actionGroupId string

@description('Make the alerts.')
param alertsPerVault bool

resource made 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (create) {
  name: name
  location: location
  tags: tags
  // System-assigned: behind a storage firewall Event Grid may use no other kind.
  identity: { type: 'SystemAssigned' }
  properties: {
    source: vaultId
    topicType: 'Microsoft.KeyVault.vaults'
  }
}

resource present 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = if (!create) {
  name: name
}

var watched = [
  {
    suffix: 'dead-lettered'
    metric: 'DeadLetteredCount'
    above: 0
    severity: 1
    window: 'PT15M'
    description: 'Event Grid gave up on events of this vault: they are in the dead-letter container.'
  }
  {
    suffix: 'dropped'
    metric: 'DroppedEventCount'
    above: 0
    severity: 1
    window: 'PT15M'
    description: 'Event Grid dropped events of this vault without a dead letter. The daily sweep finds what is still due.'
  }
  {
    suffix: 'failing'
    metric: 'DeliveryAttemptFailCount'
    above: 5
    severity: 2
    window: 'PT1H'
    description: 'Deliveries of this vault keep failing. Event Grid tries for 24 hours: look at the app before they are over.'
  }
]

resource alert 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for item in watched: if (alertsPerVault) {
    name: '${name}-${item.suffix}'
    location: 'global'
    tags: tags
    properties: {
      description: item.description
      severity: item.severity
      enabled: true
      scopes: [resourceId('Microsoft.EventGrid/systemTopics', name)]
      evaluationFrequency: 'PT5M'
      windowSize: item.window
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            name: item.suffix
            criterionType: 'StaticThresholdCriterion'
            metricNamespace: 'Microsoft.EventGrid/systemTopics'
            metricName: item.metric
            operator: 'GreaterThan'
            threshold: item.above
            timeAggregation: 'Total'
          }
        ]
      }
      actions: empty(actionGroupId) ? [] : [{ actionGroupId: actionGroupId }]
    }
    dependsOn: [
      made
    ]
  }
]

output principalId string = create ? made!.identity.principalId : present!.identity.principalId
