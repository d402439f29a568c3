// The usual way in Node: express-session with connect-redis, as their READMEs show it.
import express from "express";
import session from "express-session";
import { RedisStore } from "connect-redis";
import { createClient } from "redis";

const client = await createClient({ url: process.env.BENCH_REDIS_URL }).connect();
const app = express();
app.use(session({
  store: new RedisStore({ client }),
  secret: "0123456789abcdef0123456789abcdef",
  resave: false,
  saveUninitialized: false,
}));

// As long as a ticket's values.
const user = {
  appid: "wx0123456789abcdef",
  platform: "weapp",
  openid: "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
  unionid: "ocMvos6NjeKLIBqg5Mr9QjxrP1FA",
  phone: "",
  claims: "",
  "login-id": "0123456789abcdef",
  "expires-at": "1800000000",
};

app.post("/login", (request, response) => {
  request.session.user = { ...user, session_key: "tiihtNczf5v6AKRyjwEUhQ==" };
  response.end();
});

app.all("/v1/verify", (request, response) => {
  const found = request.session.user;
  if (!found) {
    response.status(401).end();
    return;
  }
  for (const name of Object.keys(user)) response.set(`X-Auth-${name}`, found[name]);
  response.set({ "Cache-Control": "no-store", "Content-Length": "0" }).end();
});

const server = app.listen(0, "127.0.0.1", () => console.log(`express on http://127.0.0.1:${server.address().port}`));
