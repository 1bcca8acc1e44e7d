#!/usr/bin/env bash
# rabbitmqadmin v2, RabbitMQ's command line program in Rust: declares, lists, publishes, gets,
# exports and deletes. RABBITMQADMIN_V2 names the program, MANAGEMENT_URL the API. Prints the same
# lines as the other suites; arguments are names of scenarios.
set -uo pipefail

address=${MANAGEMENT_URL#http://}
address=${address%%/*}
failed=0

admin() { "$RABBITMQADMIN_V2" --host "${address%:*}" --port "${address##*:}" --username guest --password guest --non-interactive "$@"; }
fresh() { echo "admin2.$1.$$.$RANDOM"; }
has() { grep -qF -- "$2" <<<"$1" || { echo "'$2' is not in: $1"; return 1; }; }
hasnt() { ! grep -qF -- "$2" <<<"$1" || { echo "'$2' is in: $1"; return 1; }; }

topology() {
    local q x
    q=$(fresh q) x=$(fresh x)
    admin declare queue --name "$q" --type classic --durable true || return 1
    admin declare exchange --name "$x" --type topic --durable true || return 1
    admin declare binding --source "$x" --destination-type queue --destination "$q" --routing-key 'a.*' || return 1
    has "$(admin list queues)" "$q" || return 1
    has "$(admin list bindings)" 'a.*' || return 1
    admin delete exchange --name "$x" || return 1
    admin delete queue --name "$q" || return 1
    hasnt "$(admin list queues)" "$q"
}

messages() {
    local q
    q=$(fresh q)
    admin declare queue --name "$q" --type classic --durable true || return 1
    admin publish message --routing-key "$q" --payload hello || return 1
    has "$(admin get messages --queue "$q")" hello || return 1
    admin purge queue --name "$q" || return 1
    admin delete queue --name "$q"
}

listings() {
    admin show overview >/dev/null || return 1
    local what
    for what in connections channels consumers nodes users vhosts permissions bindings exchanges queues policies feature_flags; do
        admin list "$what" >/dev/null || return 1
    done
    admin definitions export --stdout >/dev/null
}

[ $# -gt 0 ] || set -- topology messages listings
for name in "$@"; do
    began=$(date +%s.%N)
    if why=$("$name" 2>&1); then verdict="ok  "; why=""; else verdict="FAIL"; failed=1; why=": ${why//$'\n'/ }"; fi
    printf '%s rabbitmqadmin-v2 %s %.2fs%s\n' "$verdict" "$name" "$(echo "$(date +%s.%N) $began" | awk '{ print $1 - $2 }')" "$why"
done
exit "$failed"
