// What looks for keys at OpenID's address, against a running server: openid-client, jwks-rsa, get-jwks and
// express-oauth2-jwt-bearer. ISSUER, and of one service TICKET and SECRET.
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { auth } from 'express-oauth2-jwt-bearer';
import buildGetJwks from 'get-jwks';
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import jwksRsa from 'jwks-rsa';
import * as openid from 'openid-client';

const { ISSUER, TICKET, SECRET } = process.env;
// express-oauth2-jwt-bearer would take these variables for its own settings, and our secret for a key.
delete process.env.ISSUER;
delete process.env.SECRET;

// openid-client: discovery, token exchange, introspection.
const configuration = await openid.discovery(new URL(ISSUER), 'orders', undefined, openid.ClientSecretBasic(SECRET), {
  execute: [openid.allowInsecureRequests],
});
const { access_token: token, expires_in } = await openid.genericGrantRequest(
  configuration,
  'urn:ietf:params:oauth:grant-type:token-exchange',
  {
    subject_token: TICKET,
    subject_token_type: 'urn:auth-ticket:params:oauth:token-type:auth-ticket',
    audience: 'orders',
  },
);
assert.equal(expires_in, 300);
const told = await openid.tokenIntrospection(configuration, token);
assert.deepEqual([told.active, told.token_type, told.aud, told.client_id], [true, 'Bearer', 'orders', 'orders']);
assert.deepEqual(await openid.tokenIntrospection(configuration, `${token}x`), { active: false });

const { kid, alg } = decodeProtectedHeader(token);
const { jwks_uri: jwksUri } = configuration.serverMetadata();
const options = { issuer: ISSUER, audience: 'orders', typ: 'at+jwt', algorithms: ['ES256', 'EdDSA'] };
const isAlice = async (key) => assert.equal((await jwtVerify(token, key, options)).payload.sub, told.sub);

// jwks-rsa: a key by its kid.
const client = jwksRsa({ jwksUri, cache: true, rateLimit: true });
await isAlice(createPublicKey((await client.getSigningKey(kid)).getPublicKey()));
await assert.rejects(client.getSigningKey('00000000'), { name: 'SigningKeyNotFoundError' });

// get-jwks: a key by the issuer, whose metadata says where the keys are.
const getJwks = buildGetJwks({ issuersWhitelist: [ISSUER], providerDiscovery: true });
await isAlice(await importJWK(await getJwks.getJwk({ domain: ISSUER, kid, alg }), alg));

// express-oauth2-jwt-bearer, by the issuer and the audience alone; `strict` wants all of RFC 9068.
const checked = (audience, authorization) =>
  new Promise((resolve, reject) => {
    const headers = { authorization, host: 'orders.example.com' };
    const get = (name) => headers[name.toLowerCase()];
    const request = { method: 'GET', protocol: 'https', originalUrl: '/me', headers, get, query: {}, is: () => false };
    const check = auth({ issuerBaseURL: ISSUER, audience, strict: true });
    check(request, {}, (error) => (error ? reject(error) : resolve(request.auth.payload)));
  });
assert.equal((await checked('orders', `Bearer ${token}`)).sub, told.sub);
await assert.rejects(checked('others', `Bearer ${token}`), { status: 401, code: 'invalid_token' });
await assert.rejects(checked('orders', `Bearer ${token}x`), { status: 401, code: 'invalid_token' });
console.log('all good');
