#!/bin/sh
# RabbitMQ behind Warren's command line, so that these tests can be checked against it:
#   WARREN_TEST_PROGRAM=tests/integration/oracle.sh WARREN_TEST_ORACLE=1 cargo test --test integration
# Understands --data-dir, --amqp-addr and --config; prints Warren's ready lines on stdout.
# Needs Debian's rabbitmq-server package. Everything stays on loopback and under the data dir.
set -e
amqp=127.0.0.1:0
while [ $# -gt 0 ]; do
    case "$1" in
        --data-dir) data=$2 ;;
        --amqp-addr) amqp=$2 ;;
        --config) config=$2 ;;
    esac
    shift 2
done
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
port=${amqp##*:}
[ "$port" = 0 ] && port=$(free_port)
mkdir -p "$data"
: > "$data/empty.conf"
echo '[].' > "$data/enabled_plugins"
{ echo "listeners.tcp.1 = 127.0.0.1:$port"; [ -n "$config" ] && cat "$config"; } > "$data/rabbitmq.conf"
export HOME="$data" RABBITMQ_MNESIA_BASE="$data/mnesia" RABBITMQ_LOG_BASE="$data/log" RABBITMQ_LOGS=-
export RABBITMQ_CONFIG_FILE="$data/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$data/enabled_plugins"
export RABBITMQ_CONF_ENV_FILE="$data/empty.conf" RUNNING_UNDER_SYSTEMD=1
export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="${EPMD_PORT:-4477}"
[ -f "$data/node" ] || echo "o$$-$port" > "$data/node"
RABBITMQ_NODENAME="$(cat "$data/node")@localhost"
RABBITMQ_DIST_PORT=$(free_port)
export RABBITMQ_NODENAME RABBITMQ_DIST_PORT
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
bin=$(dpkg -L rabbitmq-server | grep '/sbin/rabbitmq-server$' | grep /lib/rabbitmq/lib/ | head -1)
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" -daemon >/dev/null 2>&1 || true
server=$$
(
    while kill -0 "$server" 2>/dev/null; do
        if python3 -c "
import socket,sys
s=socket.create_connection(('127.0.0.1',$port),1); s.settimeout(2); s.send(b'AMQP\0\0\x09\1'); sys.exit(0 if s.recv(1) else 1)" 2>/dev/null
        then
            printf 'RabbitMQ is ready\n  AMQP        127.0.0.1:%s\n  Data        %s\n' "$port" "$data"
            exit 0
        fi
        sleep 0.2
    done
) &
exec "$bin" >&2
