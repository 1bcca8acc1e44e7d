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

people() {
    local v u
    v=$(fresh v) u=$(fresh u)
    admin vhosts declare --name "$v" --description "of a script" || return 1
    admin users declare --name "$u" --password secret --tags management || return 1
    admin --vhost "$v" permissions declare --username "$u" --configure '.*' --read '.*' --write '.*' || return 1
    has "$(admin permissions list)" "$u" || return 1
    has "$(admin users list)" "$u" || return 1
    has "$(admin vhosts list)" "of a script" || return 1
    admin --vhost "$v" vhost_limits declare --name max-queues --value 7 || return 1
    has "$(admin --vhost "$v" vhost_limits list)" max-queues || return 1
    admin user_limits declare --user "$u" --name max-channels --value 7 || return 1
    has "$(admin user_limits list)" max-channels || return 1
    admin --vhost "$v" permissions delete --username "$u" || return 1
    admin users delete --name "$u" || return 1
    admin vhosts delete --name "$v" || return 1
    hasnt "$(admin vhosts list)" "$v"
}

policies() {
    local p
    p=$(fresh p)
    admin policies declare --name "$p" --pattern '^no$' --apply-to queues --priority 2 \
        --definition '{"max-length":5}' || return 1
    has "$(admin policies list)" "$p" || return 1
    admin policies delete --name "$p" || return 1
    hasnt "$(admin policies list)" "$p"
}

definitions() {
    local q file
    q=$(fresh q) file=$(mktemp)
    admin declare queue --name "$q" --type quorum --durable true || return 1
    admin definitions export --file "$file" || return 1
    admin delete queue --name "$q" || return 1
    admin definitions import --file "$file" || return 1
    rm -f "$file"
    has "$(admin list queues)" "$q" || return 1
    admin delete queue --name "$q"
}

health() {
    local check
    for check in local_alarms cluster_wide_alarms node_is_quorum_critical \
        "port_listener --port ${address##*:}" "protocol_listener --protocol amqp"; do
        # shellcheck disable=SC2086
        admin health_check $check || return 1
    done
    ! admin health_check port_listener --port 1 || return 1
    admin nodes list || return 1
    admin show memory_breakdown_in_percent --node "$(admin nodes list | grep -oE "[a-z]+@[^ ]+" | head -1)"
}

[ $# -gt 0 ] || set -- topology messages listings people policies definitions health
for name in "$@"; do
    began=$(date +%s.%N)
    if why=$("$name" 2>&1); then verdict="ok  "; why=""; else verdict="FAIL"; failed=1; why=": ${why//$'\n'/ }"; fi
    printf '%s rabbitmqadmin-v2 %s %.2fs%s\n' "$verdict" "$name" "$(echo "$(date +%s.%N) $began" | awk '{ print $1 - $2 }')" "$why"
done
exit "$failed"
