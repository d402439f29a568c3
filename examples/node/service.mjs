// A service that lets in whoever has an access token of auth-ticket. Node 20 or newer, and `npm install jose@6`.
//
//   ISSUER=https://login.example.com AUDIENCE=orders APPID=wx0123456789abcdef PORT=8081 node service.mjs
import { createServer } from 'node:http';
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose';

const LEEWAY_S = 60; // that two clocks may differ
const MAX_LIFE_S = 86_400; // auth-ticket gives no token a longer life
const MAX_AGE_MS = 300_000; // of the server's keys, as its Cache-Control says
const PAUSE_MS = 5_000; // between two questions to the server, whatever kids are made up
const TIMEOUT_MS = 2_000;
const FORM = /^[\w-]+\.[\w-]+\.[\w-]{85}[AQgw]$/; // a signature has 64 bytes

const fail = (why) => {
  console.error(`error: ${why}`);
  process.exit(1);
};
const setting = (name, what) => process.env[name] || fail(`${name} is not set; it is ${what}`);
const reason = (error) => (error.cause?.code === 'ECONNREFUSED' ? 'nobody answers there' : error.cause?.message ?? error.message);

const ISSUER = setting('ISSUER', "the server's public_url, such as https://login.example.com");
const AUDIENCE = setting('AUDIENCE', 'what this service is called in jwt.audiences');
const APPIDS = setting('APPID', 'the app whose users may come in; several with commas between').split(',');
const PORT = setting('PORT', 'where this service listens, on loopback');

/** Why a token is refused, in words for the log and the client. */
class Refused extends Error {}

/**
 * The server's keys. One that is known never waits: all are fetched again every five minutes, behind the requests, and when that
 * fails, they stay. One that is not known waits for one fetch, with all others who wait, and then there is none for a while.
 */
async function connect() {
  if (!URL.canParse(ISSUER)) fail(`ISSUER is no URL: ${ISSUER}`);
  let askedAt = -Infinity;
  try {
    const options = { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) };
    const answer = await fetch(`${ISSUER}/.well-known/oauth-authorization-server`, options);
    if (!answer.ok) throw new Error(`${answer.url} answers ${answer.status}`);
    const server = await answer.json();
    if (server.issuer !== ISSUER) fail(`ISSUER has to be ${server.issuer}, as the server there calls itself`);
    const keys = createRemoteJWKSet(new URL(server.jwks_uri), {
      cacheMaxAge: Infinity,
      cooldownDuration: PAUSE_MS,
      timeoutDuration: TIMEOUT_MS,
      [customFetch]: async (...request) => {
        if (Date.now() - askedAt < PAUSE_MS) throw new Error('the server was asked a moment ago');
        askedAt = Date.now();
        return fetch(...request);
      },
    });
    await keys.reload();
    const stay = (error) => console.error('the keys stay as they are:', reason(error));
    setInterval(() => keys.reload().catch(stay), MAX_AGE_MS);
    return keys;
  } catch (error) {
    return fail(`cannot get the keys of ${ISSUER}: ${reason(error)}`);
  }
}

const keys = await connect();

/** What is wrong, by the code of jose's error and the claim that it names. */
function inWords(error) {
  if (error instanceof Refused) return error.message;
  const { code, claim, payload } = error;
  if (code === 'ERR_JWT_EXPIRED' && claim === 'exp') return `expired ${Math.round(Date.now() / 1000 - payload.exp)} s ago`;
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') {
    const words = { iss: `of another issuer than ${ISSUER}`, aud: `for another audience than ${AUDIENCE}` };
    words.typ = 'not an access token: typ has to be at+jwt';
    words.iat = words.nbf = "not good yet: compare the clocks of this machine and the server's";
    return error.reason === 'check_failed' && claim in words ? words[claim] : `without a good ${claim}`;
  }
  if (code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') return 'not signed by the server: the signature is wrong';
  if (code === 'ERR_JWKS_NO_MATCHING_KEY') return 'the server has no key of this kid';
  return code ? `not an access token: ${error.message}` : 'the server has shown no key of this kid yet';
}

/** Who the token is about, if it is one for us and good now. */
async function claimsOf(token) {
  if (!FORM.test(token)) throw new Refused('not a JWT of an auth-ticket server'); // jose lets padding and other spellings pass
  const keyOf = (header, jws) => {
    // Without a kid jose would try the only key, and b64 is critical but known to it.
    if (typeof header.kid !== 'string' || !header.kid) throw new Refused('signed by a key without a name');
    if ('crit' in header) throw new Refused('not an access token: those have no crit');
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
  const { sub, exp, iat, appid } = payload;
  if (typeof sub !== 'string' || !sub) throw new Refused('about nobody: sub is missing');
  if (exp - iat > MAX_LIFE_S) throw new Refused('good for longer than a day');
  // Several apps can have tokens for one audience; their users are different people.
  if (!APPIDS.includes(appid)) throw new Refused('of a user of another app');
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
    const why = inWords(error);
    console.error('refused:', why);
    const body = { error: 'invalid_token', error_description: why };
    answer(401, body, { 'WWW-Authenticate': 'Bearer error="invalid_token"' });
  }
});
service.on('error', (error) => fail(`cannot listen on port ${PORT}: ${error.message}`));
try {
  service.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${service.address().port}`));
} catch (error) {
  fail(`cannot listen on port ${PORT}: ${error.message}`);
}
