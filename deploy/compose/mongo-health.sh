#!/usr/bin/env bash
# Healthy is: there is a primary. The first call initiates the replica set of one.
set -euo pipefail
export MONGO_ROOT_PASSWORD
MONGO_ROOT_PASSWORD=$(cat /run/secrets/mongo_root_password)
mongosh --quiet --norc "mongodb://127.0.0.1:27017/admin?directConnection=true" --eval '
  db.auth("root", process.env.MONGO_ROOT_PASSWORD);
  try { rs.status() } catch (e) { rs.initiate({_id: "fairway", members: [{_id: 0, host: "mongo:27017"}]}) }
  quit(db.hello().isWritablePrimary ? 0 : 1)'
