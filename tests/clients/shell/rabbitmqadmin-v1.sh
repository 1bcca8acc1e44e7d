#!/usr/bin/env bash
# rabbitmqadmin v1, the Python program that RabbitMQ 3.x serves: declares, lists, publishes, gets,
# exports, imports and deletes through the management API. RABBITMQADMIN names the program,
# MANAGEMENT_URL the API. Prints the same lines as the other suites; arguments are names of scenarios.
set -uo pipefail

address=${MANAGEMENT_URL#http://}
address=${address%%/*}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
failed=0

admin() { python3 "$RABBITMQADMIN" -H "${address%:*}" -P "${address##*:}" -u guest -p guest "$@"; }
fresh() { echo "admin.$1.$$.$RANDOM"; }
has() { grep -qF -- "$2" <<<"$1" || { echo "'$2' is not in: $1"; return 1; }; }
hasnt() { ! grep -qF -- "$2" <<<"$1" || { echo "'$2' is in: $1"; return 1; }; }

declare_and_delete() {
    local q x
    q=$(fresh q) x=$(fresh x)
    admin declare queue name="$q" durable=true auto_delete=false 'arguments={"x-max-length":5}' || return 1
    admin declare exchange name="$x" type=topic durable=true || return 1
    admin declare binding source="$x" destination="$q" routing_key='a.*' || return 1
    has "$(admin list queues name messages)" "$q" || return 1
    has "$(admin list exchanges)" "$x" || return 1
    has "$(admin list bindings)" 'a.*' || return 1
    admin delete binding source="$x" destination_type=queue destination="$q" properties_key='a.%2A' || return 1
    admin delete exchange name="$x" || return 1
    admin delete queue name="$q" || return 1
    hasnt "$(admin list queues name)" "$q"
}

messages() {
    local q
    q=$(fresh q)
    admin declare queue name="$q" durable=false || return 1
    has "$(admin publish routing_key="$q" payload=hello)" "Message published" || return 1
    has "$(admin publish routing_key="$q.no" payload=hello)" "NOT routed" || return 1
    has "$(admin get queue="$q" count=1 ackmode=ack_requeue_true)" hello || return 1
    admin purge queue name="$q" || return 1
    has "$(admin get queue="$q")" "No items" || return 1
    admin delete queue name="$q"
}

users_and_vhosts() {
    local v u
    v=$(fresh v) u=$(fresh u)
    admin declare vhost name="$v" || return 1
    admin declare user name="$u" password=secret tags=management || return 1
    admin declare permission vhost="$v" user="$u" configure='.*' write='.*' read='.*' || return 1
    has "$(admin list permissions)" "$u" || return 1
    has "$(admin list users)" "$u" || return 1
    has "$(admin list vhosts)" "$v" || return 1
    admin delete permission vhost="$v" user="$u" || return 1
    admin delete user name="$u" || return 1
    admin delete vhost name="$v" || return 1
    hasnt "$(admin list vhosts name)" "$v"
}

export_and_import() {
    local q
    q=$(fresh q)
    admin declare queue name="$q" durable=true || return 1
    admin export "$WORK/d.json" || return 1
    admin delete queue name="$q" || return 1
    admin import "$WORK/d.json" || return 1
    has "$(admin list queues name)" "$q" || return 1
    admin delete queue name="$q"
}

listings() {
    has "$(admin show overview)" "rabbitmq_version" || return 1
    local what
    for what in connections channels consumers nodes users vhosts permissions bindings exchanges queues; do
        admin list "$what" >/dev/null || return 1
        admin --format=raw_json list "$what" >/dev/null || return 1
    done
}

[ $# -gt 0 ] || set -- declare_and_delete messages users_and_vhosts export_and_import listings
for name in "$@"; do
    began=$(date +%s.%N)
    if why=$("$name" 2>&1); then verdict="ok  "; why=""; else verdict="FAIL"; failed=1; why=": ${why//$'\n'/ }"; fi
    printf '%s rabbitmqadmin-v1 %s %.2fs%s\n' "$verdict" "$name" "$(echo "$(date +%s.%N) $began" | awk '{ print $1 - $2 }')" "$why"
done
exit "$failed"
