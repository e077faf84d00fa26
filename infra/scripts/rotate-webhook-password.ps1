# Replace the webhook's password without losing a delivery: the same steps as rotate-webhook-password.sh, which says
# why they are safe. -First makes the password when there is none; -Revoke ends the old one after a leak.
# Not run where it was written: there was no PowerShell.
param([switch] $First, [switch] $Revoke)
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false
$vault = $env:DESKBRIDGE_VAULT_NAME
if (-not $vault) { throw 'DESKBRIDGE_VAULT_NAME is not set' }
$waitSeconds = if ($env:WAIT_SECONDS) { [int] $env:WAIT_SECONDS } else { 660 }
$current = 'key-vault-webhook'
$previous = 'key-vault-webhook-previous'

# A role that was just granted takes minutes to hold: refusals are tried again for ten.
function Invoke-Vault([string[]] $Arguments) {
    for ($tries = 1; ; $tries++) {
        $said = & az @Arguments 2>&1
        if ($LASTEXITCODE -eq 0) { return ($said | Where-Object { $_ -isnot [System.Management.Automation.ErrorRecord] }) }
        if ("$said" -notmatch 'forbidden' -or $tries -ge 40) { throw "$said" }
        Write-Warning 'The vault refuses: waiting for the role to hold.'
        Start-Sleep -Seconds 15
    }
}

function New-Password {
    $bytes = [System.Security.Cryptography.RandomNumberGenerator]::GetBytes(33)
    [Convert]::ToBase64String($bytes).Replace('+', '-').Replace('/', '_').TrimEnd('=')
}

# Through a file, because other users of this machine can read arguments.
function Set-Slot([string] $Name, [string] $Value, [string] $State) {
    $file = New-TemporaryFile
    try {
        [System.IO.File]::WriteAllText($file, $Value)
        Invoke-Vault @('keyvault', 'secret', 'set', '--vault-name', $vault, '--name', $Name, '--file', "$file",
            '--encoding', 'utf-8', '--content-type', 'application/json', '--tags', "rotation=$State",
            '--output', 'none') | Out-Null
    } finally { Remove-Item $file }
}

function Get-State([string] $Name) {
    try {
        $state = Invoke-Vault @('keyvault', 'secret', 'show', '--vault-name', $vault, '--name', $Name,
            '--query', 'tags.rotation', '--output', 'tsv')
        if ($state) { "$state".Trim() } else { 'done' }
    } catch {
        if ("$_" -match 'SecretNotFound') { 'missing' } else { throw }
    }
}

function New-Credential { "{`"username`":`"event-grid`",`"password`":`"$(New-Password)`"}" }

if ($First) {
    if ((Get-State $previous) -eq 'missing') { Set-Slot $previous (New-Credential) 'done' }
    if ((Get-State $current) -eq 'missing') {
        Set-Slot $current (New-Credential) 'done'
        Write-Output "The webhook's password was made and stored as $current."
    }
    exit 0
}
$now = Get-State $current
if ($Revoke) {
    if ($now -ne 'done') { throw 'A rotation is under way: finish it first, by running this without -Revoke.' }
    Set-Slot $previous (New-Credential) 'done'
    Write-Output "The old password is taken no more, after $waitSeconds seconds at the latest."
    exit 0
}
if ($now -eq 'missing') { throw 'There is no password yet: run with -First.' }
if ($now -eq 'done') {
    $old = Invoke-Vault @('keyvault', 'secret', 'show', '--vault-name', $vault, '--name', $current,
        '--query', 'value', '--output', 'tsv')
    Set-Slot $previous "$old".Trim() 'done'
    Write-Output "The present password stands in both slots. Waiting $waitSeconds seconds."
    Start-Sleep -Seconds $waitSeconds
    Set-Slot $current (New-Credential) 'pending'
}
Write-Output "The new password is stored. Waiting $waitSeconds seconds until every worker knows it."
Start-Sleep -Seconds $waitSeconds
& (Join-Path $PSScriptRoot 'event-subscriptions.ps1')
# Deliveries that were under way still carry the old password: nobody may take its slot yet.
Start-Sleep -Seconds 60
Invoke-Vault @('keyvault', 'secret', 'set-attributes', '--vault-name', $vault, '--name', $current,
    '--tags', 'rotation=done', '--output', 'none') | Out-Null
Write-Output 'Rotated. The old password is accepted until the next rotation, or until -Revoke.'
