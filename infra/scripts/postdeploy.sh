#!/bin/sh
# After the code is deployed: the webhook's password, the health probe, the settings, the event subscriptions.
# azd runs it as its post-deploy hook. Each step can be repeated; the first that fails ends it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${AZURE_RESOURCE_GROUP:?}" "${DESKBRIDGE_APP_NAME:?}" "${DESKBRIDGE_APP_HOST:?}" "${DESKBRIDGE_VAULT_URL:?}"
: "${DESKBRIDGE_MONITORED_VAULT_IDS:?}" "${DESKBRIDGE_TOPIC_IDS:?}"
url="https://$DESKBRIDGE_APP_HOST"

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

"$here/rotate-webhook-password.sh" --first

echo "Waiting for $url/api/health"
tries=0
until curl --silent --fail --max-time 30 --output /dev/null "$url/api/health"; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${HEALTH_TRIES:-40}" ]; then
    echo "The app does not answer. Look at its log stream, and run this again." >&2
    exit 1
  fi
  sleep 15
done

# first: only on an empty desk, so that what operators changed by API stays. always: the files are the truth. never.
apply=${DESKBRIDGE_APPLY_SETTINGS:-first}
if [ "$apply" != never ]; then
  # In files, because other users of this machine can read arguments.
  key=$(az functionapp keys list --resource-group "$AZURE_RESOURCE_GROUP" --name "$DESKBRIDGE_APP_NAME" \
    --query functionKeys.default --output tsv)
  printf 'header = "x-functions-key: %s"\n' "$key" >"$work/host-key"
  # The host's key opens one endpoint, which makes a token. It is revoked at the end.
  token_name="deploy-$(date -u +%Y%m%d%H%M%S)-$$"
  printf '{"name": "%s"}' "$token_name" >"$work/token.json"
  token=$(curl --silent --show-error --fail-with-body --config "$work/host-key" --max-time 60 \
    --header 'Content-Type: application/json' --data-binary "@$work/token.json" "$url/api/v1/tokens/administrator" |
    sed -n 's/.*"token": "\(desk_[A-Za-z0-9_-]*\)".*/\1/p')
  if [ -z "$token" ]; then
    echo "The desk made no access token. With sign-in by Entra, apply the settings by hand: docs/deploy.md." >&2
    exit 1
  fi
  printf 'header = "X-Api-Key: %s"\n' "$token" >"$work/key"
  trap 'curl --silent --config "$work/key" --max-time 60 --request DELETE "$url/api/v1/tokens/$token_name" || true; rm -rf "$work"' EXIT
  status=$(curl --silent --config "$work/key" --max-time 60 --output /dev/null --write-out '%{http_code}' \
    "$url/api/v1/settings/key-vault-events/default")
  case "$status" in
  200 | 404) ;;
  *)
    echo "The desk answers $status when asked for its settings." >&2
    exit 1
    ;;
  esac
  if [ "$apply" = always ] || [ "$status" = 404 ]; then
    if [ -n "${DESKBRIDGE_IDENTITY_CLIENT_ID:-}" ]; then
      identity="method: user_assigned, client_id: $DESKBRIDGE_IDENTITY_CLIENT_ID"
    else
      identity="method: system_assigned"
    fi
    suffix=${DESKBRIDGE_VAULT_URL#*://*.}
    suffix=${suffix%/}
    allowed=""
    ids=$(printf '%s' "$DESKBRIDGE_MONITORED_VAULT_IDS" | tr -d '[]" \n' | tr ',' '\n')
    for id in $ids; do
      name=${id##*/}
      store=vault-$(printf '%s' "$name" | tr '[:upper:]' '[:lower:]')
      allowed="${allowed:+$allowed, }{name: $name, store: $store, resource_id: \"$id\"}"
      for file in "$here"/../settings/each-vault/*.yaml; do
        sed -e "s|\${MONITORED_STORE_NAME}|$store|g" -e "s|\${MONITORED_VAULT_NAME}|$name|g" \
          -e "s|\${MONITORED_VAULT_URL}|https://$name.$suffix|g" -e "s|\${STORE_IDENTITY}|$identity|g" "$file"
        echo "---"
      done >>"$work/settings.yaml"
    done
    subscriptions=""
    for id in $(printf '%s' "$DESKBRIDGE_TOPIC_IDS" | tr -d '[]" \n' | tr ',' '\n'); do
      subscriptions="${subscriptions:+$subscriptions, }${id##*/}"
    done
    for file in "$here"/../settings/*.yaml; do
      sed -e "s|\${DESKBRIDGE_VAULT_URL}|$DESKBRIDGE_VAULT_URL|g" -e "s|\${STORE_IDENTITY}|$identity|g" \
        -e "s|\${ALLOWED_VAULTS}|$allowed|g" -e "s|\${SUBSCRIPTIONS}|$subscriptions|g" "$file"
      echo "---"
    done >>"$work/settings.yaml"
    if ! curl --silent --show-error --fail-with-body --config "$work/key" --max-time 120 \
      --header 'Content-Type: application/yaml' --data-binary "@$work/settings.yaml" "$url/api/v1/settings"; then
      echo
      echo "The desk refused the settings." >&2
      exit 1
    fi
    echo
  else
    echo "The desk has settings already: left as they are (DESKBRIDGE_APPLY_SETTINGS=always writes the files again)."
  fi
fi

"$here/event-subscriptions.sh"
if command -v azd >/dev/null 2>&1 && [ -n "${AZURE_ENV_NAME:-}" ]; then
  azd env set DESKBRIDGE_DEPLOY_EVENT_SUBSCRIPTIONS true
fi
echo "The desk is up: $url"
