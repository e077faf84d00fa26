# Deploy the event subscriptions; see event-subscriptions.sh. Not run where it was written: there was no PowerShell.
$ErrorActionPreference = 'Stop'
foreach ($name in 'AZURE_LOCATION', 'AZURE_RESOURCE_GROUP', 'DESKBRIDGE_VAULT_NAME', 'DESKBRIDGE_STORAGE_NAME',
    'DESKBRIDGE_APP_HOST', 'DESKBRIDGE_TOPIC_IDS') {
    if (-not [Environment]::GetEnvironmentVariable($name)) { throw "$name is not set" }
}
if ($env:DESKBRIDGE_TOPIC_IDS -eq '[]') {
    Write-Output 'No vault is monitored yet: set DESKBRIDGE_MONITORED_VAULT_IDS, provision again, and run this again.'
    exit 0
}
$mode = if ($env:DESKBRIDGE_DELIVERY_MODE) { $env:DESKBRIDGE_DELIVERY_MODE } else { 'webhook' }
$schema = if ($env:DESKBRIDGE_EVENT_SCHEMA) { $env:DESKBRIDGE_EVENT_SCHEMA } else { 'EventGridSchema' }
# Through a file: quotes within arguments do not survive every PowerShell.
$file = New-TemporaryFile
try {
    @{
        '$schema'      = 'https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#'
        contentVersion = '1.0.0.0'
        parameters     = @{
            topicIds            = @{ value = @($env:DESKBRIDGE_TOPIC_IDS | ConvertFrom-Json) }
            resourceGroupName   = @{ value = $env:AZURE_RESOURCE_GROUP }
            vaultName           = @{ value = $env:DESKBRIDGE_VAULT_NAME }
            storageName         = @{ value = $env:DESKBRIDGE_STORAGE_NAME }
            appHostName         = @{ value = $env:DESKBRIDGE_APP_HOST }
            deliveryMode        = @{ value = $mode }
            eventDeliverySchema = @{ value = $schema }
        }
    } | ConvertTo-Json -Depth 6 | Set-Content -Path $file -Encoding utf8NoBOM
    az deployment sub create `
        --name deskbridge-event-subscriptions `
        --location $env:AZURE_LOCATION `
        --template-file (Join-Path $PSScriptRoot '../event-subscriptions.bicep') `
        --parameters "@$file" `
        --output none
    if ($LASTEXITCODE -ne 0) { throw 'The event subscriptions could not be deployed.' }
} finally { Remove-Item $file }
Write-Output 'The event subscriptions are in place.'
