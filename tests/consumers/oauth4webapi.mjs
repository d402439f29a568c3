// oauth4webapi and jose against a running server: ISSUER, and of one service TICKET and SECRET.
import assert from 'node:assert/strict';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';

const { ISSUER, TICKET, SECRET } = process.env;
const onLoopback = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(ISSUER);
const client = { client_id: 'orders' };
const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const form = {
  subject_token: TICKET,
  subject_token_type: 'urn:auth-ticket:params:oauth:token-type:auth-ticket',
  audience: 'orders',
};

const discovery = await oauth.discoveryRequest(issuer, { ...onLoopback, algorithm: 'oauth2' });
const server = await oauth.processDiscoveryResponse(issuer, discovery);

for (const authentication of [oauth.ClientSecretBasic(SECRET), oauth.ClientSecretPost(SECRET)]) {
  const exchange = await oauth.genericTokenEndpointRequest(server, client, authentication, exchangeGrant, form, onLoopback);
  const { access_token, token_type, expires_in } = await oauth.processGenericTokenEndpointResponse(server, client, exchange);
  assert.deepEqual([token_type, expires_in], ['bearer', 300]);

  const request = new Request('https://orders.example.com/me', { headers: { authorization: `Bearer ${access_token}` } });
  const claims = await oauth.validateJwtAccessToken(server, request, 'orders', onLoopback);
  assert.equal(claims.client_id, 'orders');
  await assert.rejects(oauth.validateJwtAccessToken(server, request, 'others', onLoopback));

  const keys = createRemoteJWKSet(new URL(server.jwks_uri));
  const options = { issuer: ISSUER, audience: 'orders', typ: 'at+jwt', requiredClaims: ['sub', 'exp', 'iat', 'jti'] };
  const { payload } = await jwtVerify(access_token, keys, options);
  assert.equal(payload.sub, claims.sub);

  const ask = async (token) => {
    const response = await oauth.introspectionRequest(server, client, authentication, token, onLoopback);
    return oauth.processIntrospectionResponse(server, client, response);
  };
  const told = await ask(TICKET);
  assert.deepEqual([told.active, told.sub, told.iss], [true, claims.sub, ISSUER]);
  const toldOfToken = await ask(access_token);
  assert.deepEqual([toldOfToken.active, toldOfToken.token_type, toldOfToken.sub], [true, 'Bearer', claims.sub]);
}

// What is refused has the names and the form that the library knows.
const refused = async (authentication, change, expected) => {
  const response = await oauth.genericTokenEndpointRequest(
    server, client, authentication, exchangeGrant, { ...form, ...change }, onLoopback);
  await assert.rejects(oauth.processGenericTokenEndpointResponse(server, client, response), expected);
};
const basic = oauth.ClientSecretBasic(SECRET);
await refused(basic, { audience: 'others' }, { error: 'invalid_target', status: 400 });
await refused(basic, { subject_token: 'x' }, { error: 'invalid_request', status: 400 });
await refused(oauth.ClientSecretPost('wrong'), {}, { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE', status: 401 });
console.log('all good');
