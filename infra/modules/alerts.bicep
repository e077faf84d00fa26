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

var watched = [
  {
    suffix: 'no-successful-import'
    severity: 2
    title: 'No successful import in 26 hours'
    description: 'The housekeeping says which tenant or realm; its runs say why: GET /api/v1/runs.'
    query: 'traces | where message has "it is expected every day"'
    every: 'PT1H'
  }
  {
    suffix: 'poison-messages'
    severity: 1
    title: 'A message failed for good'
    description: 'The product recorded it as a failed part or a quarantined event; nothing of it is lost.'
    query: 'requests | where name in ("fail_import_part", "quarantine_key_vault_event")'
    every: 'PT15M'
  }
  {
    suffix: 'outbox-failures'
    severity: 2
    title: 'What follows from a change failed'
    description: 'GET /api/v1/outbox?state=failed says why; try it again when the cause is gone.'
    query: 'traces | where message has "failed for good"'
    every: 'PT15M'
  }
  {
    suffix: 'webhook-refusals'
    severity: 1
    title: 'The webhook refuses deliveries'
    description: 'Event Grid never retries 401 and 403: look at the credential first. docs/deploy.md, Rotation.'
    query: 'requests | where name == "receive_key_vault_events" and resultCode in ("400", "401", "403", "413")'
    every: 'PT15M'
  }
  {
    suffix: 'failing-functions'
    severity: 2
    title: 'Functions fail'
    description: 'Unhandled failures. Queue messages are tried five times, deliveries for 24 hours.'
    query: 'requests | where success == false and toint(resultCode) >= 500'
    every: 'PT1H'
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
      evaluationFrequency: item.every
      windowSize: item.every
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
