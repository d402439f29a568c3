// A service that lets in whoever has an access token of auth-ticket. Node 20 or newer, and `npm install jose@6`.
//
//   ISSUER=https://login.example.com AUDIENCE=orders PORT=8081 node service.mjs
import { createServer } from 'node:http';
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose';

const LEEWAY_S = 60; // that two clocks may differ
const MAX_LIFE_S = 86_400; // auth-ticket gives no token a longer life
const MAX_AGE_MS = 300_000; // of the server's keys, as its Cache-Control says
const PAUSE_MS = 5_000; // between two questions to the server, whatever kids are made up
const FORM = /^[\w-]+\.[\w-]+\.[\w-]{85}[AQgw]$/; // a signature has 64 bytes

const { ISSUER, AUDIENCE, PORT } = process.env;
if (!ISSUER || !AUDIENCE) throw new Error('set ISSUER and AUDIENCE');

const metadata = await fetch(`${ISSUER}/.well-known/oauth-authorization-server`, { redirect: 'error' });
const server = await metadata.json();
if (server.issuer !== ISSUER) throw new Error(`ISSUER has to be ${server.issuer}`);

// The keys are asked for again every five minutes; when that fails, those that are known stay.
let askedAt = -Infinity;
const keys = createRemoteJWKSet(new URL(server.jwks_uri), {
  cacheMaxAge: Infinity,
  cooldownDuration: PAUSE_MS,
  timeoutDuration: 2_000,
  [customFetch]: async (...request) => {
    if (Date.now() - askedAt < PAUSE_MS) throw new Error('the server was asked a moment ago');
    askedAt = Date.now();
    return fetch(...request);
  },
});
await keys.reload();
setInterval(() => keys.reload().catch((error) => console.error('the keys stay as they are:', error.message)), MAX_AGE_MS);

/** Who the token is about, if it is one for us and good now. */
async function claimsOf(token) {
  if (!FORM.test(token)) throw new Error('not base64url'); // jose lets padding and other spellings pass
  const keyOf = (header, jws) => {
    // Without a kid jose would try the only key, and b64 is critical but known to it.
    if (!header.kid || 'crit' in header) throw new Error('not the header of an access token');
    return keys(header, jws);
  };
  const { payload } = await jwtVerify(token, keyOf, {
    issuer: ISSUER,
    audience: AUDIENCE,
    typ: 'at+jwt',
    algorithms: ['ES256', 'EdDSA'],
    requiredClaims: ['sub', 'exp', 'iat'],
    clockTolerance: LEEWAY_S,
    maxTokenAge: MAX_LIFE_S,
  });
  const { sub, exp, iat } = payload;
  if (typeof sub !== 'string' || !sub || exp - iat > MAX_LIFE_S) throw new Error('of nobody, or good for too long');
  return payload;
}

const service = createServer(async (request, response) => {
  const answer = (status, body, headers) =>
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
  if (request.url !== '/me') return answer(404, { error: 'not_found' });
  const [, token] = /^Bearer (.*)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (token === undefined) return answer(401, { error: 'no token' }, { 'WWW-Authenticate': 'Bearer' });
  try {
    const { sub, appid, platform, openid, unionid, login_id } = await claimsOf(token);
    answer(200, { sub, appid, platform, openid, unionid, login_id });
  } catch (error) {
    console.error('refused:', error.code ?? error.message);
    answer(401, { error: 'invalid_token' }, { 'WWW-Authenticate': 'Bearer error="invalid_token"' });
  }
});
service.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${service.address().port}`));
