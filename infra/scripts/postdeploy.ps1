# After the code is deployed: password, health, settings, event subscriptions; see postdeploy.sh.
# Not run where it was written: there was no PowerShell.
$ErrorActionPreference = 'Stop'
foreach ($name in 'AZURE_RESOURCE_GROUP', 'DESKBRIDGE_APP_NAME', 'DESKBRIDGE_APP_HOST', 'DESKBRIDGE_VAULT_URL',
    'DESKBRIDGE_MONITORED_VAULT_IDS', 'DESKBRIDGE_TOPIC_IDS') {
    if (-not [Environment]::GetEnvironmentVariable($name)) { throw "$name is not set" }
}
$url = "https://$env:DESKBRIDGE_APP_HOST"

& (Join-Path $PSScriptRoot 'rotate-webhook-password.ps1') -First

Write-Output "Waiting for $url/api/health"
for ($tries = 1; ; $tries++) {
    try { Invoke-WebRequest -Uri "$url/api/health" -TimeoutSec 30 | Out-Null; break } catch {
        if ($tries -ge $(if ($env:HEALTH_TRIES) { [int] $env:HEALTH_TRIES } else { 40 })) { throw 'The app does not answer. Look at its log stream, and run this again.' }
        Start-Sleep -Seconds 15
    }
}

$apply = if ($env:DESKBRIDGE_APPLY_SETTINGS) { $env:DESKBRIDGE_APPLY_SETTINGS } else { 'first' }
if ($apply -ne 'never') {
    $key = az functionapp keys list --resource-group $env:AZURE_RESOURCE_GROUP --name $env:DESKBRIDGE_APP_NAME `
        --query functionKeys.default --output tsv
    if ($LASTEXITCODE -ne 0) { throw 'The function key could not be read.' }
    $name = "deploy-$((Get-Date).ToUniversalTime().ToString('yyyyMMddHHmmss'))-$PID"
    $made = Invoke-RestMethod -Uri "$url/api/v1/tokens/administrator" -Method Post -TimeoutSec 60 `
        -Headers @{ 'x-functions-key' = $key } -ContentType 'application/json' -Body "{`"name`": `"$name`"}"
    $headers = @{ 'X-Api-Key' = $made.token }
    try {
    $asked = Invoke-WebRequest -Uri "$url/api/v1/settings/key-vault-events/default" -Headers $headers -SkipHttpErrorCheck
    if ($asked.StatusCode -notin 200, 404) { throw "The desk answers $($asked.StatusCode) when asked for its settings." }
    if ($apply -eq 'always' -or $asked.StatusCode -eq 404) {
        $identity = if ($env:DESKBRIDGE_IDENTITY_CLIENT_ID) {
            "method: user_assigned, client_id: $env:DESKBRIDGE_IDENTITY_CLIENT_ID"
        } else { 'method: system_assigned' }
        $suffix = ([Uri] $env:DESKBRIDGE_VAULT_URL).Host.Split('.', 2)[1]
        $texts = @()
        $allowed = @()
        foreach ($id in @($env:DESKBRIDGE_MONITORED_VAULT_IDS | ConvertFrom-Json)) {
            $name = $id.Split('/')[-1]
            $store = "vault-$($name.ToLowerInvariant())"
            $allowed += "{name: $name, store: $store, resource_id: `"$id`"}"
            foreach ($file in Get-ChildItem (Join-Path $PSScriptRoot '../settings/each-vault') -Filter *.yaml) {
                $texts += (Get-Content $file -Raw).Replace('${MONITORED_STORE_NAME}', $store).Replace(
                    '${MONITORED_VAULT_NAME}', $name).Replace('${MONITORED_VAULT_URL}', "https://$name.$suffix").Replace(
                    '${STORE_IDENTITY}', $identity)
            }
        }
        $subscriptions = @($env:DESKBRIDGE_TOPIC_IDS | ConvertFrom-Json) | ForEach-Object { $_.Split('/')[-1] }
        foreach ($file in Get-ChildItem (Join-Path $PSScriptRoot '../settings') -Filter *.yaml) {
            $texts += (Get-Content $file -Raw).Replace('${DESKBRIDGE_VAULT_URL}', $env:DESKBRIDGE_VAULT_URL).Replace(
                '${STORE_IDENTITY}', $identity).Replace('${ALLOWED_VAULTS}', ($allowed -join ', ')).Replace(
                '${SUBSCRIPTIONS}', ($subscriptions -join ', '))
        }
        $body = [System.Text.Encoding]::UTF8.GetBytes($texts -join "`n---`n")
        $answer = Invoke-WebRequest -Uri "$url/api/v1/settings" -Method Post -Headers $headers -Body $body `
            -ContentType 'application/yaml' -TimeoutSec 120 -SkipHttpErrorCheck
        Write-Output $answer.Content
        if ($answer.StatusCode -ne 200) { throw 'The desk refused the settings.' }
    } else {
        Write-Output 'The desk has settings already: left as they are (DESKBRIDGE_APPLY_SETTINGS=always writes the files again).'
    }
    } finally {
        Invoke-WebRequest -Uri "$url/api/v1/tokens/$name" -Method Delete -Headers $headers -SkipHttpErrorCheck | Out-Null
    }
}

& (Join-Path $PSScriptRoot 'event-subscriptions.ps1')
if ((Get-Command azd -ErrorAction SilentlyContinue) -and $env:AZURE_ENV_NAME) {
    azd env set DESKBRIDGE_DEPLOY_EVENT_SUBSCRIPTIONS true
}
Write-Output "The desk is up: $url"
