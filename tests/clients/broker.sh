#!/usr/bin/env bash
# One broker for the client suites: starts, stops and kills it, always on the same port and data.
#
#   broker.sh start   start it (the first start picks a free port) and wait until it is ready
#   broker.sh stop    SIGTERM, and wait for a clean exit
#   broker.sh kill    SIGKILL, as a power cut would
#   broker.sh port    print the port
#   broker.sh log     print the last lines of its log
#
# BROKER_STATE names the folder that holds port, pid, data and logs.
# WARREN names the program; anything that understands --data-dir, --amqp-addr and prints a line
# `  AMQP  HOST:PORT` on stdout when ready will do (tests/integration/oracle.sh is RabbitMQ).
# WARREN_ARGS are the arguments besides those two.
set -euo pipefail

: "${BROKER_STATE:?names the folder for port, pid, data and logs}"
mkdir -p "$BROKER_STATE"

pid() { cat "$BROKER_STATE/pid" 2>/dev/null || true; }

alive() {
    local pid
    pid=$(pid)
    # A zombie is dead too: the broker is nobody's child once broker.sh has returned, and not
    # every container has an init that reaps.
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null
}

port() { cat "$BROKER_STATE/port" 2>/dev/null || echo 0; }

log() {
    echo "--- the broker's last lines ($BROKER_STATE/stderr)"
    tail -n "${LOG_LINES:-60}" "$BROKER_STATE/stderr" 2>/dev/null || true
    echo "---"
}

fail() {
    echo "broker.sh: $1" >&2
    log >&2
    exit 1
}

wait_until_dead() {
    local tenths=$(($1 * 10))
    while alive; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

start() {
    alive && fail "already running"
    : "${WARREN:?names the program to start}"
    : >"$BROKER_STATE/stdout"
    # Word splitting of WARREN_ARGS is wanted. setsid, so that a Ctrl-C for the suites does not
    # also stop the broker under the scenario that is being cleaned up.
    # shellcheck disable=SC2086
    setsid "$WARREN" --data-dir "$BROKER_STATE/data" --amqp-addr "127.0.0.1:$(port)" \
        ${WARREN_ARGS-} >"$BROKER_STATE/stdout" 2>>"$BROKER_STATE/stderr" </dev/null &
    echo $! >"$BROKER_STATE/pid"
    local tenths=600 address
    while :; do
        address=$(awk '$1 == "AMQP" { print $2; exit }' "$BROKER_STATE/stdout")
        [ -z "$address" ] || break
        alive || fail "it ended before it was ready"
        [ "$tenths" -gt 0 ] || fail "not ready within 60 s"
        tenths=$((tenths - 1))
        sleep 0.1
    done
    echo "${address##*:}" >"$BROKER_STATE/port"
}

stop() {
    alive || fail "not running"
    kill -TERM "$(pid)"
    wait_until_dead 30 || fail "still running 30 s after SIGTERM"
    rm -f "$BROKER_STATE/pid"
}

kill9() {
    alive || fail "not running"
    kill -KILL "$(pid)"
    wait_until_dead 10 || fail "still running 10 s after SIGKILL"
    rm -f "$BROKER_STATE/pid"
}

case "${1-}" in
    start) start ;;
    stop) stop ;;
    kill) kill9 ;;
    port) port ;;
    log) log ;;
    alive) alive ;;
    *) echo "usage: broker.sh start|stop|kill|port|log|alive" >&2; exit 2 ;;
esac
