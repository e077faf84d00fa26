// Who is told when the desk needs a person. What watches the system topics stands beside each topic.
@description('Name of the installation.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('The Application Insights component.')
param componentId string

@description('Who is told; empty shows alerts in the portal only.')
param alertEmail string

// A condition of the desk writes one line when it opens. docs/conditions.md says what each kind is, and what to do.
var watched = [
  {
    suffix: 'imports'
    severity: 2
    title: 'An import does not succeed, or withholds changes'
    description: 'GET /api/v1/imports says which and why. docs/conditions.md.'
    query: 'traces | where message has "Condition opened" and message has_any ("import_failing", "import_withheld")'
  }
  {
    suffix: 'events'
    severity: 2
    title: 'A vault is not swept, or events wait'
    description: 'GET /api/v1/tickets?source=Deskbridge says which and why. docs/conditions.md.'
    query: 'traces | where message has "Condition opened" and message has_any ("sweep_failing", "quarantine", "dead_letters")'
  }
  {
    suffix: 'desk'
    severity: 1
    title: 'The desk itself cannot do its work'
    description: 'GET /api/v1/tickets?source=Deskbridge says what and why. docs/conditions.md.'
    query: 'traces | where message has "Condition opened" and message has_any ("poison_messages", "queue_stuck", "settings_unreadable", "outbox_failing")'
  }
  {
    suffix: 'expiries'
    severity: 3
    title: 'A secret or token of the desk expires'
    description: 'GET /api/v1/tickets?source=Deskbridge says which. docs/conditions.md.'
    query: 'traces | where message has "Condition opened" and message has_any ("secret_expiring", "token_expiring")'
  }
]

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'deskbridge'
    enabled: true
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

var actionGroupId = empty(alertEmail) ? '' : resourceId('Microsoft.Insights/actionGroups', 'ag-${name}')

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for item in watched: {
    name: '${name}-${item.suffix}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: item.title
      description: item.description
      severity: item.severity
      enabled: true
      scopes: [componentId]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT15M'
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: item.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: empty(actionGroupId) ? [] : [actionGroupId] }
    }
    dependsOn: [
      actionGroup
    ]
  }
]

output actionGroupId string = actionGroupId
