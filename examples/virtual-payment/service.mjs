// A shop that sells virtual goods by wx.requestVirtualPayment, without a session_key anywhere. Node 20 or newer, nothing else.
//
//   LOGIN_URL=http://login:8080 SERVICE_ID=shop SERVICE_SECRET=... APPID=wx0123456789abcdef WX_SECRET=... \
//   OFFER_ID=1450... APP_KEY=... PAY_ENV=1 PORT=8082 node service.mjs
import { createHmac, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

// What is sold, and for how many fen: never what a client says.
const PRODUCTS = new Map([['sword', 300], ['shield', 500]]);
const TIMEOUT_MS = 10_000;

function setting(name, standard) {
  const value = process.env[name] ?? standard;
  if (!value) {
    console.error(`error: ${name} is not set`);
    process.exit(1);
  }
  return value;
}

const LOGIN_URL = setting('LOGIN_URL');
const [SERVICE_ID, SERVICE_SECRET] = [setting('SERVICE_ID'), setting('SERVICE_SECRET')];
const [APPID, WX_SECRET] = [setting('APPID'), setting('WX_SECRET')];
const [OFFER_ID, APP_KEY] = [setting('OFFER_ID'), setting('APP_KEY')]; // of the payment product; the key is that of PAY_ENV
const PAY_ENV = Number(setting('PAY_ENV', '0')); // 1 is the sandbox
const WECHAT_URL = setting('WECHAT_URL', 'https://api.weixin.qq.com');

/** Why a client gets no order, with the status of the answer. */
class Refused extends Error {
  constructor(status, error) {
    super(error);
    this.status = status;
  }
}

const hmac = (key, message) => createHmac('sha256', key).update(message).digest('hex');

/** A route of the login server that is for services. */
async function ask(path, contentType, body) {
  const credentials = [SERVICE_ID, SERVICE_SECRET].map(encodeURIComponent).join(':');
  const answer = await fetch(LOGIN_URL + path, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(credentials)}`, 'Content-Type': contentType },
    body,
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return { status: answer.status, ...(await answer.json()) };
}

/** The openid behind a ticket of this app. */
async function openidOf(ticket) {
  const form = new URLSearchParams({ token: ticket });
  const user = await ask('/v1/introspect', 'application/x-www-form-urlencoded', form.toString());
  if (user.status === 400 || user.active === false || (user.active && user.appid !== APPID)) throw new Refused(401, 'invalid_ticket');
  if (user.status !== 200) throw new Error(`introspection: ${user.error_description}`);
  return user.openid;
}

/** The signature with the session_key that is sealed in the ticket. */
async function userSignature(ticket, data) {
  const signed = await ask('/v1/signature', 'application/json', JSON.stringify({ ticket, data }));
  if (signed.status === 200) return signed.signature;
  // The client logs in again, and orders again.
  const stale = ['session_key_stale', 'invalid_ticket', 'ticket_expired', 'ticket_revoked'];
  if (stale.includes(signed.error)) throw new Refused(401, signed.error);
  if (signed.status === 429) throw new Refused(429, signed.error);
  throw new Error(`signature: ${signed.error}, ${signed.error_description}`);
}

/** An interface below /xpay/ that only the payment product signs. */
async function wechat(path, query, body) {
  const url = `${WECHAT_URL}${path}?${new URLSearchParams(query)}`;
  const answer = await fetch(url, { method: 'POST', body, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });
  return answer.json();
}

async function accessToken() {
  // The same for everybody who asks: it takes nothing from the login server.
  const body = JSON.stringify({ grant_type: 'client_credential', appid: APPID, secret: WX_SECRET });
  const { access_token: token, errcode } = await wechat('/cgi-bin/stable_token', {}, body);
  if (!token) throw new Error(`no access token: errcode ${errcode}`);
  return token;
}

const orders = new Map(); // a database, in a real shop

/** What the client passes on to wx.requestVirtualPayment. */
async function order(ticket, product) {
  const openid = await openidOf(ticket);
  const goodsPrice = PRODUCTS.get(product);
  if (!goodsPrice) throw new Refused(400, 'unknown_product');
  const outTradeNo = randomBytes(12).toString('hex');
  const signData = JSON.stringify({
    offerId: OFFER_ID,
    buyQuantity: 1,
    env: PAY_ENV,
    currencyType: 'CNY',
    productId: product,
    goodsPrice,
    outTradeNo,
    attach: product,
  });
  const signature = await userSignature(ticket, signData);
  const paySig = hmac(APP_KEY, `requestVirtualPayment&${signData}`);
  orders.set(outTradeNo, { openid, fee: goodsPrice });
  // As a text: the signatures are over these bytes, and the client must not write them anew.
  return { outTradeNo, mode: 'short_series_goods', signData, paySig, signature };
}

/** Whether an order is paid. What the client says of that counts for nothing. */
async function settle(ticket, outTradeNo) {
  const [openid, found] = [await openidOf(ticket), orders.get(outTradeNo)];
  if (!found || found.openid !== openid) throw new Refused(404, 'unknown_order');
  const body = JSON.stringify({ openid, env: PAY_ENV, order_id: outTradeNo });
  const query = { access_token: await accessToken(), pay_sig: hmac(APP_KEY, `/xpay/query_order&${body}`) };
  const { order: seen } = await wechat('/xpay/query_order', query, body);
  // 2 to 4: paid, being delivered, delivered.
  return { paid: seen?.status >= 2 && seen.status <= 4 && seen.paid_fee === found.fee };
}

async function bodyOf(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 1024) throw new Refused(413, 'too_large');
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Refused(400, 'invalid_request');
  }
}

async function handle(request) {
  const ticket = request.headers.weixinauth ?? '';
  const [, outTradeNo] = /^\/orders\/(\w+)$/.exec(request.url) ?? [];
  if (request.method === 'POST' && request.url === '/orders') return order(ticket, (await bodyOf(request)).product);
  if (request.method === 'GET' && outTradeNo) return settle(ticket, outTradeNo);
  throw new Refused(404, 'not_found');
}

const service = createServer(async (request, response) => {
  let [status, body] = [200, {}];
  try {
    body = await handle(request);
  } catch (error) {
    if (!(error instanceof Refused)) console.error('failed:', error.message);
    [status, body] = error instanceof Refused ? [error.status, { error: error.message }] : [502, { error: 'try_again' }];
  }
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
});
service.listen(Number(setting('PORT')), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${service.address().port}`);
});
