#!/usr/bin/env bash
# amqp-tools: the command line programs of rabbitmq-c, the client under many C, C++, PHP and Perl
# programs. Prints the same lines as the other suites; arguments are names of scenarios.
set -uo pipefail

URL="amqp://${AMQP_USER:-guest}:${AMQP_PASSWORD:-guest}@${AMQP_HOST:-127.0.0.1}:${AMQP_PORT:-5672}/%2F"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
failed=0

fresh() { echo "clients.$1.$$.$RANDOM$RANDOM"; }
publish() { amqp-publish --url="$URL" "$@"; }
get() { amqp-get --url="$URL" -q "$1"; }
declare_queue() { amqp-declare-queue --url="$URL" "$@"; }
delete_queue() { amqp-delete-queue --url="$URL" "$@"; }
consume() { timeout 20 amqp-consume --url="$URL" "$@"; }
is() { [ "$1" = "$2" ] || { echo "got '$1', expected '$2'"; return 1; }; }

# A publish is not confirmed: wait until the message can be had, up to 5 s. Prints its body.
get_soon() {
    local tries
    for tries in $(seq 50); do
        get "$1" && return 0
        sleep 0.1
    done
    echo "nothing in $1 after $tries tries"
    return 1
}

# Declares, publishes and gets through the default exchange; an empty queue gives exit code 2.
hello_world() {
    local q code=0
    q=$(fresh hello)
    is "$(declare_queue -q "$q")" "$q" || return 1
    publish -r "$q" -b "Hello World!" || return 1
    is "$(get_soon "$q")" "Hello World!" || return 1
    get "$q" || code=$?
    is "$code" 2 || return 1
    delete_queue -q "$q"
}

# amqp-delete-queue prints how many messages went with it; -e spares a queue that is not empty.
delete_counts() {
    local q
    q=$(fresh delete)
    declare_queue -q "$q" -d >/dev/null || return 1
    printf 'one\ntwo\nthree\n' | publish -r "$q" -l -p || return 1
    sleep 0.5
    # A conditional delete that fails leaves the queue as it is.
    delete_queue -e -q "$q" 2>"$WORK/err" && { echo "deleted although not empty"; return 1; }
    grep -q "406.*not empty" "$WORK/err" || { cat "$WORK/err"; return 1; }
    is "$(delete_queue -q "$q")" 3
}

# A server-named queue has a name, and is not exclusive here: it can be used by a later command.
server_named_queue() {
    local q
    q=$(declare_queue -q "")
    case "$q" in amq.gen-*) ;; *) echo "strange name $q"; return 1 ;; esac
    publish -r "$q" -b "m" || return 1
    is "$(get_soon "$q")" "m" || return 1
    delete_queue -q "$q" >/dev/null
}

# A body of 1 MB with every byte in it goes through unchanged.
big_binary_body() {
    local q
    q=$(fresh big)
    head -c 1000000 /dev/urandom >"$WORK/sent"
    declare_queue -q "$q" >/dev/null || return 1
    publish -r "$q" <"$WORK/sent" || return 1
    get_soon "$q" >"$WORK/got" || return 1
    cmp "$WORK/sent" "$WORK/got" || return 1
    delete_queue -q "$q" >/dev/null
}

# amqp-consume runs a command per message, in order, acknowledges and stops after the count.
consume_in_order() {
    local q
    q=$(fresh consume)
    declare_queue -q "$q" >/dev/null || return 1
    seq 100 | publish -r "$q" -l || return 1
    consume -q "$q" -c 60 -p 10 cat >"$WORK/first" || return 1
    consume -q "$q" -c 40 cat >"$WORK/rest" || return 1
    # With -l the end of line is part of the message.
    is "$(cat "$WORK/first" "$WORK/rest" | tr -d '\n')" "$(seq 100 | tr -d '\n')" || return 1
    is "$(delete_queue -q "$q")" 0
}

# Without acks the delivery is the end of it.
consume_no_ack() {
    local q
    q=$(fresh noack)
    declare_queue -q "$q" >/dev/null || return 1
    publish -r "$q" -b "once" || return 1
    is "$(consume -q "$q" -A -c 1 cat)" "once" || return 1
    is "$(delete_queue -q "$q")" 0
}

# amqp-consume declares a queue of its own and binds it; a publisher meets it through the exchange.
consume_from_an_exchange() {
    local tries consumer
    consume -e amq.topic -r "clients.$$.#" -x -c 2 cat >"$WORK/got" &
    consumer=$!
    for tries in $(seq 100); do
        publish -e amq.topic -r "clients.$$.a" -b "x" || return 1
        kill -0 "$consumer" 2>/dev/null || break
        sleep 0.1
    done
    wait "$consumer" || { echo "amqp-consume failed after $tries publishes"; return 1; }
    is "$(cat "$WORK/got")" "xx"
}

# Content type, encoding, reply-to, persistence and headers are taken.
properties() {
    local q
    q=$(fresh properties)
    declare_queue -q "$q" >/dev/null || return 1
    publish -r "$q" -p -C text/plain -E utf-8 -t somewhere -H "a: 1" -H "b: two words" -b "m" || return 1
    is "$(get_soon "$q")" "m" || return 1
    delete_queue -q "$q" >/dev/null
}

# Errors of the broker reach the user with code and text.
errors() {
    local q
    q=$(fresh missing)
    get "$q" 2>"$WORK/err" && { echo "got from a missing queue"; return 1; }
    grep -q "404.*NOT_FOUND - no queue '$q' in vhost '/'" "$WORK/err" || { cat "$WORK/err"; return 1; }
    amqp-get --url="${URL/:${AMQP_PASSWORD:-guest}@/:wrong@}" -q "$q" 2>"$WORK/err" && return 1
    grep -q "403.*ACCESS_REFUSED - Login was refused" "$WORK/err" || { cat "$WORK/err"; return 1; }
}

# A heartbeat of two seconds while the consumer waits six: the connection stays up.
heartbeat() {
    local q consumer
    q=$(fresh heartbeat)
    declare_queue -q "$q" >/dev/null || return 1
    consume --heartbeat=2 -q "$q" -c 1 cat >"$WORK/got" &
    consumer=$!
    sleep 6
    publish -r "$q" -b "late" || return 1
    wait "$consumer" || return 1
    is "$(cat "$WORK/got")" "late" || return 1
    delete_queue -q "$q" >/dev/null
}

if [ $# -eq 0 ]; then
    set -- hello_world delete_counts server_named_queue big_binary_body consume_in_order consume_no_ack \
        consume_from_an_exchange properties errors heartbeat
fi
for name in "$@"; do
    start=$(date +%s.%N)
    if why=$("$name" 2>&1); then verdict="ok  "; why=""; else verdict="FAIL"; failed=1; why=": ${why//$'\n'/ }"; fi
    printf '%s amqp-tools %s %.2fs%s\n' "$verdict" "$name" "$(echo "$(date +%s.%N) $start" | awk '{ print $1 - $2 }')" "$why"
done
exit "$failed"
