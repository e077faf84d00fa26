#!/bin/sh
# Replace the webhook's password without losing a delivery. Run it again after an interruption: it goes on.
#
#   rotate-webhook-password.sh           rotate; takes a little over twice WAIT_SECONDS
#   rotate-webhook-password.sh --first   make the password when there is none; nothing else
#   rotate-webhook-password.sh --revoke  after a leak, and after a rotation: the old password is taken no more
#
# Two slots make it safe. Workers hold a secret for up to cache_seconds of the store (300), and accept both slots:
#   1. previous := the present password; wait until every worker knows it there
#   2. current := a new password; wait until every worker knows it
#   3. the event subscriptions send the new password
# A worker with any mixture of old and new slots accepts what Event Grid sends at that moment.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
vault=${DESKBRIDGE_VAULT_NAME:?}
wait_seconds=${WAIT_SECONDS:-660}
current=key-vault-webhook
previous=key-vault-webhook-previous

exec 3>&2
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A role that was just granted takes minutes to hold: refusals are tried again for ten.
vault_call() {
  tries=0
  until "$@" 2>"$work/said"; do
    tries=$((tries + 1))
    if ! grep -qi forbidden "$work/said" || [ "$tries" -ge 40 ]; then
      cat "$work/said" >&2
      return 1
    fi
    echo "The vault refuses: waiting for the role to hold." >&3
    sleep 15
  done
}

generate() {
  password=$(head -c 33 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
  printf '{"username":"event-grid","password":"%s"}' "$password" >"$work/new"
}

# Through a file, because other users of this machine can read arguments.
store() {
  vault_call az keyvault secret set --vault-name "$vault" --name "$1" --file "$2" --encoding utf-8 \
    --content-type application/json --tags "rotation=$3" --output none
}

state() {
  if vault_call az keyvault secret show --vault-name "$vault" --name "$1" --query tags.rotation --output tsv \
    >"$work/state" 2>"$work/why"; then
    found=$(cat "$work/state")
    echo "${found:-done}"
  elif grep -qi secretnotfound "$work/why"; then
    echo missing
  else
    cat "$work/why" >&2
    return 1
  fi
}

first() {
  # The previous slot too: the desk answers 503 while a slot that it is told of cannot be read.
  if [ "$(state $previous)" = missing ]; then
    generate
    store $previous "$work/new" done
  fi
  if [ "$(state $current)" = missing ]; then
    generate
    store $current "$work/new" done
    echo "The webhook's password was made and stored as $current."
  fi
}

case "${1:-}" in
--first)
  first
  exit 0
  ;;
--revoke)
  if [ "$(state $current)" != done ]; then
    echo "A rotation is under way: finish it first, by running this without --revoke." >&2
    exit 1
  fi
  generate
  store $previous "$work/new" done
  echo "The old password is taken no more, after $wait_seconds seconds at the latest."
  exit 0
  ;;
"") ;;
*)
  echo "usage: rotate-webhook-password.sh [--first | --revoke]" >&2
  exit 2
  ;;
esac

now=$(state $current)
if [ "$now" = missing ]; then
  echo "There is no password yet: run with --first." >&2
  exit 1
fi
if [ "$now" = done ]; then
  vault_call az keyvault secret show --vault-name "$vault" --name $current --query value --output tsv >"$work/line"
  tr -d '\n' <"$work/line" >"$work/old"
  store $previous "$work/old" done
  echo "The present password stands in both slots. Waiting $wait_seconds seconds."
  sleep "$wait_seconds"
  generate
  store $current "$work/new" pending
fi
echo "The new password is stored. Waiting $wait_seconds seconds until every worker knows it."
sleep "$wait_seconds"
"$here/event-subscriptions.sh"
# Deliveries that were under way still carry the old password: nobody may take its slot yet.
sleep 60
vault_call az keyvault secret set-attributes --vault-name "$vault" --name $current --tags rotation=done --output none
echo "Rotated. The old password is accepted until the next rotation, or until --revoke."
