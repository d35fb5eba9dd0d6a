// Runs once, on an empty server: the platform's user, with the rights to its own databases and to abort what dead
// processes of its own left open. What it may do is in mongo-user.json.
const fs = require("fs");
const {role, user} = JSON.parse(fs.readFileSync("/mongo-user.json", "utf8"));
const pwd = fs.readFileSync("/run/secrets/mongo_password", "utf8").trim();
const admin = db.getSiblingDB("admin");
admin.createRole(role);
admin.createUser({...user, pwd});
