#!/usr/bin/env bash
# mongod refuses a key that others may read, and a mounted secret has the modes of the host: it gets a copy of its own.
set -euo pipefail
install -m 0400 /run/secrets/mongo_keyfile /tmp/keyfile
exec docker-entrypoint.sh "$@" --keyFile /tmp/keyfile
