#!/usr/bin/env bash
# Sends what the API's own description allows, and what it does not, and asks for no answer of 500
# and up. Reads only: what changes the node is left to the tests that know what they change.
set -uo pipefail

began=$(date +%s.%N)
# The console's streams of events and of passing messages never end; a health check that fails answers 503.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(schemathesis --config-file "$here/schemathesis.toml" run "$MANAGEMENT_URL/openapi.json" \
    --url "${MANAGEMENT_URL%/api}" --auth guest:guest --include-method GET \
    --exclude-path /api/console/events --exclude-path /api/console/trace --checks not_a_server_error --max-examples 20 2>&1) && code=0 || code=$?
took=$(echo "$(date +%s.%N) $began" | awk '{ printf "%.2f", $1 - $2 }')
if [ "$code" = 0 ]; then
    echo "ok   openapi schemathesis ${took}s"
else
    echo "$out" >&2
    echo "FAIL openapi schemathesis ${took}s: $(tail -n 2 <<<"$out" | tr '\n' ' ')"
fi
exit "$code"
