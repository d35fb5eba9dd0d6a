// Runs once, on an empty server: the platform's user, with the rights to its own databases and to abort what dead
// processes of its own left open.
const password = require("fs").readFileSync("/run/secrets/mongo_password", "utf8").trim();
const admin = db.getSiblingDB("admin");
admin.createRole({
  role: "fairwaySessions",
  privileges: [{resource: {cluster: true}, actions: ["inprog", "killAnySession"]}],
  roles: [],
});
admin.createUser({
  user: "fairway",
  pwd: password,
  roles: [
    "fairwaySessions",
    ...["fairway", "fairway_data_1", "fairway_data_2"].map((name) => ({role: "readWrite", db: name})),
    ...["fairway", "fairway_data_1", "fairway_data_2"].map((name) => ({role: "dbAdmin", db: name})),
  ],
});
