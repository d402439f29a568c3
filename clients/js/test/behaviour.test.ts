// What the client promises, each on WeChat's native object over real HTTP to `auth-ticket serve`.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { createAuthTicket, form, type Adapter, type AuthTicket, AuthTicketError, type Config } from '../src/index.js'
import { nativeAdapter } from '../src/native.js'
import { fakeNative, type FakeNative } from '../src/testing.js'
import { APPID, clock, Proxy, reply, startServer, stopAll, type AuthServer } from './support/server.js'

const TWO_HOURS = 7_200_000
const times = <T>(count: number, f: () => Promise<T>) => Promise.allSettled(Array.from({ length: count }, f))
const rejected = (results: PromiseSettledResult<unknown>[]) => results.flatMap((one) => (one.status === 'rejected' ? [one.reason as AuthTicketError] : []))
const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5))
}
const post = async (url: string, body: object) => {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  return (await answer.json()) as any
}

let server: AuthServer
let login: Proxy
let backEnd: Proxy
let phone: FakeNative
let auth: AuthTicket
let users = 0

/** A client of a new user, with what it needs around it. */
const client = (more: Partial<Config> = {}, fake = phone) =>
  createAuthTicket({ baseURL: login.url, appid: APPID, origins: [backEnd.url], adapter: nativeAdapter(fake.native), ...more })
const session = () => auth.request({ url: '/v1/session' })
const user = () => `user${users}`
const storedTicket = () => (JSON.parse([...phone.stored.values()][0] as string) as { ticket: string }).ticket

before(async () => {
  server = await startServer('public_url = "http://localhost"\n[jwt]\naudiences = ["orders"]\npublic_audiences = ["orders"]\n')
  login = await Proxy.start(server.url)
  backEnd = await Proxy.start()
})
after(stopAll)
beforeEach(() => {
  users++
  phone = fakeNative({ user: user() })
  login.seen.length = backEnd.seen.length = 0
  login.interfere = backEnd.interfere = undefined
  auth = client()
})
afterEach(() => {
  clock.ahead = 0
})

describe('one flight', () => {
  test('fifty calls of a program that was just started log in once', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, session))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.equal(login.count('/v1/login'), 1)
    assert.equal(phone.calls.filter((name) => name === 'login').length, 1)
    assert.equal(phone.calls.filter((name) => name === 'getStorage').length, 1)
  })

  test('fifty calls with a revoked ticket log in once', async () => {
    const { login_id } = await auth.session()
    await server.revoke(login_id, storedTicket())
    login.seen.length = 0
    const answers = await Promise.all(Array.from({ length: 50 }, session))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.equal(login.count('/v1/login'), 1)
  })

  test('fifty calls near the end of a ticket renew it once, and none of them waits', async () => {
    await auth.ensure()
    let release = () => {}
    login.interfere = async ({ path }) => {
      if (path === '/v1/renew') await new Promise<void>((resolve) => (release = resolve))
      return false
    }
    clock.ahead = TWO_HOURS * 0.7
    const before = storedTicket()
    await Promise.all(Array.from({ length: 50 }, session))
    assert.equal(login.count('/v1/renew'), 1)
    assert.equal(storedTicket(), before)
    const renewed = new Promise((resolve) => auth.on('renew', resolve))
    release()
    await renewed
    assert.notEqual(storedTicket(), before)
    await session()
    assert.deepEqual([login.count('/v1/renew'), login.count('/v1/login')], [1, 1])
  })

  test('while the server is down, fifty calls ask it once, and all of them are rejected', async () => {
    login.interfere = (_, response) => (response.destroy(), true)
    const errors = rejected(await times(50, session))
    assert.equal(errors.length, 50)
    assert.deepEqual(new Set(errors.map(({ code, retriable, status }) => `${code} ${retriable} ${status}`)), new Set(['network true 0']))
    assert.equal(login.seen.length, 1)
  })

  test('refusals of an old ticket that arrive late do not log in again', async () => {
    await auth.ensure()
    const old = storedTicket()
    const held: (() => void)[] = []
    backEnd.interfere = async ({ headers }, response) => {
      if (headers.weixinauth !== old) return reply(response, 200, {})
      if (held.length || backEnd.seen.length > 1) await new Promise<void>((resolve) => held.push(resolve))
      return reply(response, 401, { error: 'ticket_expired' })
    }
    const calls = Array.from({ length: 8 }, () => auth.request({ url: backEnd.url }))
    await until(() => held.length === 7 && storedTicket() !== old)
    held.forEach((release) => release())
    const answers = await Promise.all(calls)
    assert.deepEqual(answers.map(({ status }) => status), Array(8).fill(200))
    assert.equal(login.count('/v1/login'), 2)
  })

  test('calls of login at the same time are one login', async () => {
    await Promise.all([auth.login(), auth.login(), auth.login()])
    assert.equal(login.count('/v1/login'), 1)
  })
})

describe('a refusal', () => {
  test('of a back end of its own passes through', async () => {
    backEnd.interfere = (_, response) => reply(response, 401, { error: 'wrong_password' }, { 'www-authenticate': 'Basic realm="shop"' })
    assert.equal((await auth.request({ url: backEnd.url })).status, 401)
    assert.equal(backEnd.seen.length, 1)
    assert.equal(login.count('/v1/login'), 1)
  })

  test('of a gateway with a page of HTML logs in, and the request is sent once more', async () => {
    backEnd.interfere = (_, response) =>
      backEnd.seen.length === 1 && (response.writeHead(401, { 'content-type': 'text/html', 'www-authenticate': 'Bearer error="invalid_token"' }), response.end('<html>'), true)
    const { status, data } = await auth.request<{ body: string }>({ url: backEnd.url, method: 'POST', data: { a: 1 } })
    assert.deepEqual([status, data.body], [200, '{"a":1}'])
    assert.equal(login.count('/v1/login'), 2)
  })

  test('of a new ticket is an answer, and the next login waits', async () => {
    backEnd.interfere = (_, response) => reply(response, 401, { error: 'invalid_ticket' })
    assert.equal((await auth.request({ url: backEnd.url })).status, 401)
    assert.equal(backEnd.seen.length, 2)
    assert.equal(login.count('/v1/login'), 2)
    const start = Date.now()
    await auth.request({ url: backEnd.url })
    assert.ok(Date.now() - start > 1_500)
    assert.equal(login.count('/v1/login'), 4)
  })
})

describe('after a failed login', () => {
  const refuse = (status: number, headers = {}) => {
    login.interfere = ({ path }, response) => path === '/v1/login' && login.count('/v1/login') === 1 && reply(response, status, { error: 'overloaded', error_description: 'busy', request_id: 'r1' }, headers)
  }

  test('everybody waits for Retry-After, then one login serves them', async () => {
    refuse(503, { 'retry-after': '1' })
    const [error] = rejected(await times(1, session))
    assert.deepEqual([error!.code, error!.status, error!.retryAfter, error!.requestId, error!.retriable], ['overloaded', 503, 1, 'r1', true])
    const start = Date.now()
    await Promise.all(Array.from({ length: 5 }, session))
    assert.ok(Date.now() - start >= 900)
    assert.equal(login.count('/v1/login'), 2)
  })

  test('without Retry-After it is two seconds', async () => {
    refuse(502)
    await times(1, session)
    const start = Date.now()
    await session()
    const waited = Date.now() - start
    assert.ok(waited > 1_900 && waited < 4_000, `${waited} ms`)
  })

  test('it is a minute at most, and a caller need not wait for it', async () => {
    refuse(503, { 'retry-after': '100000' })
    await times(1, session)
    clock.ahead = 61_000
    await assert.rejects(auth.request({ url: '/v1/session', timeout: 100 }), { code: 'timeout', retriable: true })
    assert.equal(login.count('/v1/login'), 1)
  })
})

describe('codes', () => {
  test('that are refused are replaced by a fresh one, once', async () => {
    login.interfere = ({ path }, response) => path === '/v1/login' && reply(response, 401, { error: 'code_used', error_description: 'used', request_id: 'r' })
    await assert.rejects(auth.ensure(), { code: 'code_used' })
    const codes = login.seen.map(({ body }) => JSON.parse(body).code)
    assert.equal(codes.length, 2)
    assert.notEqual(codes[0], codes[1])
  })

  test('are never sent twice, even if the platform gives one again', async () => {
    const adapter = nativeAdapter(phone.native)
    auth = client({ adapter: { ...adapter, login: async () => `demo-${user()}-same` } })
    await auth.login()
    await assert.rejects(auth.login(), { code: 'platform_login' })
    assert.equal(login.count('/v1/login'), 1)
  })

  test('that the platform does not give are an error with its words', async () => {
    phone.loginFailure = { errMsg: 'login:fail system busy', errno: 5 }
    const [error] = rejected(await times(1, session))
    assert.deepEqual([error!.code, error!.errcode, error!.cause, error!.status], ['platform_login', 5, 'login:fail system busy', 0])
    assert.equal(login.seen.length, 0)
  })
})

for (const code of ['not_bound', 'user_blocked']) {
  test(`${code} is not tried again: an event, and the error`, async () => {
    login.interfere = (_, response) => reply(response, 403, { error: code, error_description: 'no', request_id: 'r', errcode: 40226 })
    const events: AuthTicketError[] = []
    auth.on('login-failed', (error) => events.push(error))
    const [error] = rejected(await times(1, session))
    assert.deepEqual([error!.code, error!.status, error!.errcode, error!.retriable], [code, 403, 40226, false])
    assert.deepEqual(events, [error])
    assert.equal(login.seen.length, 1)
  })
}

describe('renewal', () => {
  test('happens when the program comes to the front', async () => {
    await auth.ensure()
    clock.ahead = TWO_HOURS * 0.5
    phone.show()
    clock.ahead = TWO_HOURS * 0.7
    phone.show()
    await new Promise((resolve) => auth.on('renew', resolve))
    assert.equal(login.count('/v1/renew'), 1)
  })

  test('blocks only once the ticket has expired', async () => {
    await auth.ensure()
    clock.ahead = TWO_HOURS + 30_000
    await Promise.all([session(), session()])
    assert.deepEqual([login.count('/v1/renew'), login.count('/v1/login')], [1, 1])
  })

  test('that fails logs nobody out while the ticket lives, and is not tried at once again', async () => {
    await auth.ensure()
    login.interfere = ({ path }, response) => path === '/v1/renew' && reply(response, 503, { error: 'no_sealing_key' })
    const failures: unknown[] = []
    auth.on('login-failed', (error) => failures.push(error))
    clock.ahead = TWO_HOURS * 0.9
    assert.equal((await session()).status, 200)
    await until(() => login.count('/v1/renew') === 1)
    for (let i = 0; i < 5; i++) assert.equal((await session()).status, 200)
    assert.equal(login.count('/v1/renew'), 1)
    assert.equal(auth.state.loggedIn, true)
    assert.deepEqual(failures, [])
  })

  test('that the server refuses is a login', async () => {
    await auth.ensure()
    login.interfere = ({ path }, response) => path === '/v1/renew' && reply(response, 401, { error: 'ticket_revoked' })
    clock.ahead = TWO_HOURS + 1_000
    assert.equal((await session()).status, 200)
    assert.deepEqual([login.count('/v1/renew'), login.count('/v1/login')], [1, 2])
  })

  test('is not tried beyond the leeway: the client logs in at once', async () => {
    await auth.ensure()
    clock.ahead = TWO_HOURS + 61_000
    await session()
    assert.deepEqual([login.count('/v1/renew'), login.count('/v1/login')], [0, 2])
  })
})

describe('the clock', () => {
  test('counts from expires_in: a device that is a year ahead uses its ticket all the same', async () => {
    clock.ahead = 365 * 86_400_000
    await session()
    await session()
    assert.deepEqual([login.count('/v1/renew'), login.count('/v1/login')], [0, 1])
  })

  test('that runs backwards has the ticket renewed', async () => {
    await auth.ensure()
    clock.ahead = -86_400_000
    await session()
    await until(() => login.count('/v1/renew') === 1)
    assert.equal(login.count('/v1/login'), 1)
  })
})

describe('storage', () => {
  test('is not read before the first use, and the next start goes on with its ticket', async () => {
    assert.deepEqual(phone.calls, [])
    await session()
    const again = client()
    await Promise.all([again.ensure(), again.ensure()])
    assert.equal(login.count('/v1/login'), 1)
    assert.equal(again.state.loggedIn, true)
    assert.deepEqual([...phone.stored.keys()], [`auth-ticket:${APPID}@${new URL(login.url).host}`])
  })

  for (const miss of [undefined, null, '', 'no JSON', '{}', '[]', '7', { ticket: 1 }]) {
    test(`has nothing if it answers ${JSON.stringify(miss)}`, async () => {
      auth = client({ adapter: { ...nativeAdapter(phone.native), storage: { get: () => miss, set: () => {}, remove: () => {} } } })
      assert.equal((await session()).status, 200)
      assert.equal(login.count('/v1/login'), 1)
    })
  }

  test('may fail', async () => {
    const fail = () => {
      throw new Error('full')
    }
    auth = client({ adapter: { ...nativeAdapter(phone.native), storage: { get: fail, set: async () => fail(), remove: fail } } })
    assert.equal((await session()).status, 200)
    auth.logout()
    assert.equal((await session()).status, 200)
    assert.equal(login.count('/v1/login'), 2)
  })

  test('does not get the phone number', async () => {
    await auth.ensure()
    await auth.phone({ code: `phone-${user()}-${Date.now()}` })
    assert.match(storedTicket(), /^A/)
    assert.doesNotMatch(JSON.stringify([...phone.stored]), /phone|\+861/)
  })
})

describe('the ticket', () => {
  const elsewhere = () => backEnd.url.replace('127.0.0.1', 'localhost')

  test('goes to baseURL and listed origins, and nowhere else', async () => {
    await auth.request({ url: backEnd.url + '/listed' })
    await auth.request({ url: elsewhere() + '/unlisted' })
    await auth.request({ url: backEnd.url.replace('//', '//user@') + '/userinfo' }).catch(() => {})
    await auth.request({ url: backEnd.url.toUpperCase().replace('HTTP', 'http') + '/upper' })
    const headers = Object.fromEntries(backEnd.seen.map(({ path, headers }) => [path, headers.weixinauth]))
    assert.deepEqual(headers, { '/listed': storedTicket(), '/unlisted': undefined, '/upper': storedTicket() })
  })

  test('is not sent to a host whose name only begins like a listed one', async () => {
    const sent: (string | undefined)[] = []
    const adapter: Adapter = { ...nativeAdapter(phone.native), send: async ({ headers, url }) => (url.includes('/v1/') ? nativeAdapter(phone.native).send({ headers, url, method: 'POST', body: `{"code":"demo-${user()}-1"}` }) : (sent.push(headers.weixinauth), { status: 200, headers: {}, body: '' })) }
    auth = client({ adapter, origins: ['https://shop.example.com'] })
    for (const url of ['https://shop.example.com.evil.com/', 'https://shop.example.com@evil.com/', 'https://shop.example.com:8443/', 'https://shop.example.com\\@evil.com/', 'http://shop.example.com/']) await auth.request({ url })
    assert.deepEqual(sent, Array(5).fill(undefined))
    await auth.request({ url: 'https://shop.example.com?x' })
    assert.equal(sent.length, 6)
    assert.match(sent[5]!, /^A/)
  })

  test('is not carried to another origin by a redirect', async () => {
    backEnd.interfere = ({ path }, response) => path === '/from' && (response.writeHead(302, { location: elsewhere() + '/to' }), response.end(), true)
    const { status, headers } = await auth.request({ url: backEnd.url + '/from' })
    assert.deepEqual([status, headers.location], [302, elsewhere() + '/to'])
    assert.equal(backEnd.count('/to'), 0)
    // Without a ticket, a redirect is followed as ever.
    const free = await auth.request({ url: elsewhere() + '/from' })
    assert.equal(free.status, 200)
    assert.deepEqual(backEnd.seen.filter(({ path }) => path === '/to').map(({ headers }) => headers.weixinauth), [undefined])
  })

  test('is in no URL, log, state, event or thrown error', async (t) => {
    const lines: unknown[] = []
    for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) t.mock.method(console, level, (...args: unknown[]) => lines.push(args))
    const said: unknown[] = []
    for (const event of ['login', 'renew', 'login-failed', 'logout'] as const) auth.on(event, (about) => said.push(about))
    await auth.ensure()
    const ticket = storedTicket()
    await auth.token({ audience: 'orders' })
    await auth.phone({ code: `phone-${user()}-${Date.now()}` })
    said.push(auth.state)
    const adapter = nativeAdapter(phone.native)
    const noisy = client({ adapter: { ...adapter, send: async (request) => { throw Object.assign(new Error(`cannot send ${JSON.stringify(request.headers)}`), { config: request }) } } })
    const [error] = rejected(await times(1, () => noisy.request({ url: backEnd.url })))
    said.push(error, error!.message, error!.cause, error!.stack)
    backEnd.interfere = (_, response) => (response.destroy(), true)
    const [second] = rejected(await times(1, () => auth.request({ url: backEnd.url })))
    said.push(second, second!.message, second!.cause, second!.stack)
    auth.logout()
    assert.ok(said.length > 8)
    const tickets = [ticket, ...login.seen.concat(backEnd.seen).map(({ headers }) => headers.weixinauth as string).filter(Boolean)]
    const text = JSON.stringify([said.map((one) => [one, String(one), { ...(one as object) }]), lines, login.seen.map(({ path }) => path), backEnd.seen.map(({ path }) => path)])
    for (const one of tickets) assert.ok(!text.includes(one))
    assert.match(error!.message, /weixinauth":"\*"/)
  })
})

describe('concurrency', () => {
  test('is eight requests at most, and a login is not behind them', async () => {
    let release: (() => void)[] = []
    backEnd.interfere = async () => (await new Promise<void>((resolve) => release.push(resolve)), false)
    await auth.ensure()
    const calls = Array.from({ length: 20 }, () => auth.request({ url: backEnd.url }))
    await until(() => release.length === 8)
    await auth.login()
    assert.equal(backEnd.seen.length, 8)
    assert.equal(phone.mostInFlight, 9)
    const answers = Promise.all(calls)
    const pump = setInterval(() => (release.forEach((go) => go()), (release = [])), 5)
    assert.equal((await answers).length, 20)
    clearInterval(pump)
    assert.equal(phone.mostInFlight, 9)
  })

  test('does not suffer from failures', async () => {
    backEnd.interfere = (_, response) => backEnd.seen.length <= 20 && (response.destroy(), true)
    assert.equal(rejected(await times(20, () => auth.request({ url: backEnd.url }))).length, 20)
    assert.equal(rejected(await times(20, () => auth.request({ url: backEnd.url }))).length, 0)
  })
})

describe('the phone number', () => {
  const encrypted = async () => post(`${server.simulator}/_sim/encrypt`, { appid: APPID, name: user(), kind: 'phone' })
  const replaceKey = () => fetch(`${server.simulator}/_sim/users/${user()}/reset-session-key`, { method: 'POST' })

  test('by code: after a 401 the client logs in and sends it again', async () => {
    const { login_id } = await auth.session()
    await server.revoke(login_id, storedTicket())
    const number = await auth.phone({ code: `phone-${user()}-${Date.now()}` })
    assert.match(number.phone_number, /^\+861\d{10}$/)
    assert.equal('ticket' in number, false)
    assert.equal(login.count('/v1/login'), 2)
    assert.equal((await auth.session()).phone_number, number.phone_number)
  })

  test('by data', async () => {
    await auth.preparePhone()
    const number = await auth.phone(await encrypted())
    assert.match(number.pure_phone_number, /^1\d{10}$/)
    assert.equal(login.count('/v1/login'), 1)
  })

  test('by data: a 401 never logs in, since that replaces the key', async () => {
    const { login_id } = await auth.session()
    const data = await encrypted()
    await server.revoke(login_id, storedTicket())
    await assert.rejects(auth.phone(data), { code: 'tap_again' })
    assert.equal(login.count('/v1/login'), 1)
    await auth.preparePhone()
    assert.equal(login.count('/v1/login'), 2)
    assert.match((await auth.phone(await encrypted())).phone_number, /^\+86/)
  })

  test('by data: without a ticket there is no login either', async () => {
    await assert.rejects(auth.phone({ encryptedData: 'AAAA', iv: 'AAAA' }), { code: 'tap_again' })
    assert.equal(login.seen.length, 0)
  })

  test('by data: a key that the platform has replaced is tap_again', async () => {
    await auth.ensure()
    await replaceKey()
    const data = await encrypted()
    await assert.rejects(auth.phone(data), { code: 'tap_again', status: 400 })
    assert.equal(login.count('/v1/login'), 1)
  })

  test('preparePhone logs in if the platform has replaced the key, and only then', async () => {
    await auth.ensure()
    await auth.preparePhone()
    assert.equal(login.count('/v1/login'), 1)
    phone.sessionKeyReplaced = true
    await auth.preparePhone()
    assert.equal(login.count('/v1/login'), 2)
  })

  test('survives a renewal that was under way', async () => {
    await auth.ensure()
    let release = () => {}
    login.interfere = async ({ path }) => {
      if (path === '/v1/renew') await new Promise<void>((resolve) => (release = resolve))
      return false
    }
    clock.ahead = TWO_HOURS * 0.7
    await session()
    await until(() => login.count('/v1/renew') === 1)
    await auth.phone({ code: `phone-${user()}-${Date.now()}` })
    const ticket = storedTicket()
    release()
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(storedTicket(), ticket)
    assert.ok((await auth.session()).phone_number)
  })

  test('user data follows the same rules', async () => {
    await auth.ensure()
    const data = await post(`${server.simulator}/_sim/encrypt`, { appid: APPID, name: user() })
    const { data: plain, signature_valid } = await auth.userData(data)
    assert.equal(signature_valid, true)
    assert.equal((plain!.watermark as { appid: string }).appid, APPID)
    const { login_id } = await auth.session()
    await server.revoke(login_id, storedTicket())
    await assert.rejects(auth.userData(data), { code: 'tap_again' })
    assert.equal(login.count('/v1/login'), 1)
  })
})

describe('cancellation', () => {
  test('ends the request of the one who asked', async () => {
    await auth.ensure()
    let ended = false
    backEnd.interfere = async (_, response) => (response.on('close', () => (ended = true)), await until(() => ended), true)
    const call = auth.request({ url: backEnd.url })
    await until(() => backEnd.seen.length === 1)
    call.abort()
    await assert.rejects(call, { code: 'aborted', retriable: false })
    await until(() => ended)
  })

  test('by signal does not end the login that others wait for', async () => {
    let release = () => {}
    login.interfere = async ({ path }) => {
      if (path === '/v1/login') await new Promise<void>((resolve) => (release = resolve))
      return false
    }
    const ending = new AbortController()
    const mine = auth.request({ url: backEnd.url, signal: ending.signal })
    const other = auth.request({ url: backEnd.url })
    await until(() => login.count('/v1/login') === 1)
    ending.abort()
    await assert.rejects(mine, { code: 'aborted' })
    release()
    assert.equal((await other).status, 200)
    assert.equal(backEnd.seen.length, 1)
  })

  test('before the call sends nothing', async () => {
    await assert.rejects(auth.request({ url: backEnd.url, signal: AbortSignal.abort() }), { code: 'aborted' })
    await auth.ensure()
    assert.equal(backEnd.seen.length, 0)
  })

  test('a timeout counts what came before the request, too', async () => {
    login.interfere = () => new Promise(() => {})
    await assert.rejects(auth.request({ url: backEnd.url, timeout: 50 }), { code: 'timeout', retriable: true })
  })

  test('a platform that never answers blocks nobody for ever', async () => {
    auth = client({ timeout: 50, adapter: { ...nativeAdapter(phone.native), login: () => new Promise(() => {}) } })
    await assert.rejects(auth.ensure(), { code: 'timeout' })
  })
})

describe('requests', () => {
  test('carry JSON, forms and text', async () => {
    const send = async (data: object | string, headers?: Record<string, string>) => (await auth.request({ url: backEnd.url, method: 'post', data, headers })).data
    const json = await send({ a: 'ü', b: undefined })
    assert.deepEqual([json.body, json.headers['content-type'], json.method], ['{"a":"ü"}', 'application/json', 'POST'])
    const type = 'application/x-www-form-urlencoded'
    const asForm = await send(form({ a: 'x&y', b: 1, c: undefined }), { 'Content-Type': type })
    assert.deepEqual([asForm.body, asForm.headers['content-type']], ['a=x%26y&b=1', type])
    assert.equal((await send('plain', { 'content-type': 'text/plain' })).body, 'plain')
  })

  test('resolve with every status, lower-case header names and parsed data', async () => {
    backEnd.interfere = ({ path }, response) => reply(response, Number(path.slice(1)), '{"a":1}', { 'X-Thing': 'y' })
    for (const status of [200, 204, 400, 404, 429, 500, 503]) {
      const answer = await auth.request({ url: `${backEnd.url}/${status}` })
      assert.deepEqual([answer.status, answer.headers['x-thing'], answer.data], [status, 'y', status === 204 ? '' : { a: 1 }])
    }
  })

  test('that reach nobody are rejected', async () => {
    await assert.rejects(auth.request({ url: 'http://127.0.0.1:1/' }), { code: 'network', status: 0, retriable: true })
  })

  test('upload and download carry the ticket, under the same rules', async () => {
    await auth.ensure()
    phone.files.set('tmp/a.png', new Blob(['picture']))
    login.seen.length = 0
    backEnd.interfere = (_, response) => backEnd.seen.length === 1 && reply(response, 401, { error: 'ticket_revoked' })
    const up = await auth.upload<{ headers: Record<string, string>; body: string }>({ url: backEnd.url + '/up', filePath: 'tmp/a.png', name: 'file', formData: { kind: 'id' } })
    assert.equal(up.data.headers.weixinauth, storedTicket())
    assert.match(up.data.body, /name="kind"\r\n\r\nid[^]*name="file"[^]*picture/)
    assert.equal(login.count('/v1/login'), 1)
    const down = await auth.download<string>({ url: backEnd.url + '/down' })
    assert.equal(JSON.parse(await phone.files.get(down.data)!.text()).headers.weixinauth, storedTicket())
    assert.equal(down.status, 200)
  })

  test('header() is for other libraries', async () => {
    assert.deepEqual(await auth.header(), { weixinauth: storedTicket() })
  })
})

describe('the rest of the API', () => {
  test('session, checkSession and token answer as the server describes', async () => {
    const who = await auth.session()
    assert.deepEqual([who.active, who.appid, who.platform], [true, APPID, 'weapp'])
    assert.deepEqual(await auth.checkSession(), { session_key_valid: true })
    const { access_token, token_type } = await auth.token({ audience: 'orders' })
    assert.equal(token_type, 'Bearer')
    assert.equal(JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString()).openid, who.openid)
    await assert.rejects(auth.token({ audience: 'nobody & co' }), { code: 'invalid_target', status: 400 })
  })

  test('a token for a revoked ticket logs in first', async () => {
    const { login_id } = await auth.session()
    await server.revoke(login_id, storedTicket())
    assert.ok((await auth.token({ audience: 'orders' })).access_token)
    assert.equal(login.count('/v1/login'), 2)
  })

  test('handover asks for one of an origin', async () => {
    login.interfere = ({ path, body }, response) => path === '/v1/handover' && reply(response, 200, { handover: `for ${JSON.parse(body).origin}`, expires_in: 60 })
    assert.deepEqual(await auth.handover({ origin: 'https://h5.example.com' }), { handover: 'for https://h5.example.com', expires_in: 60 })
  })

  test('an answer that is none of the server is an error', async () => {
    await auth.ensure()
    for (const [status, body] of [[200, '<html>please log in to the Wi-Fi'], [200, ''], [502, '<html>'], [403, '{"error":{"code":1}}']] as const) {
      login.interfere = (_, response) => reply(response, status, body)
      await assert.rejects(auth.session(), { code: 'network', status, retriable: status === 502 })
    }
  })

  test('logout forgets the ticket, also one that is under way', async () => {
    const events: string[] = []
    for (const event of ['login', 'logout', 'login-failed'] as const) auth.on(event, () => events.push(event))
    await auth.ensure()
    assert.equal(auth.state.loggedIn, true)
    assert.ok(Date.parse(auth.state.expiresAt!) < Date.parse(auth.state.sessionExpiresAt!))
    let release = () => {}
    login.interfere = async () => (await new Promise<void>((resolve) => (release = resolve)), false)
    const flight = auth.login()
    await until(() => login.count('/v1/login') === 2)
    auth.logout()
    release()
    await assert.rejects(flight, { code: 'aborted' })
    login.interfere = undefined
    assert.equal(auth.state.loggedIn, false)
    assert.equal(phone.stored.size, 0)
    assert.deepEqual(events, ['login', 'logout', 'login-failed'])
    await session()
    assert.equal(login.count('/v1/login'), 3)
  })

  test('a listener can be taken away, and one that throws harms nobody', async () => {
    let heard = 0
    const off = auth.on('login', () => heard++)
    auth.on('login', () => {
      throw new Error('mine')
    })
    await auth.login()
    off()
    await auth.login()
    assert.equal(heard, 1)
  })

  test('the environment needs no more than a mini-program has', async () => {
    const hidden = ['URL', 'URLSearchParams', 'AbortController', 'AbortSignal', 'TextEncoder', 'Blob', 'FormData', 'localStorage', 'navigator']
    const before = Object.fromEntries(hidden.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]))
    const adapter: Adapter = {
      send: async ({ url }) => ({ status: 200, headers: {}, body: url.endsWith('login') ? { ticket: 'Aa', token_type: 'AuthTicket', expires_in: 9, expires_at: '2026-01-01T00:00:00Z', session_expires_at: '2026-01-02T00:00:00Z' } : 'ok' }),
      login: async () => 'code',
      storage: { get: () => '', set: () => {}, remove: () => {} }
    }
    try {
      for (const name of hidden) Reflect.deleteProperty(globalThis, name)
      const bare = createAuthTicket({ baseURL: 'https://login.example.com/', adapter })
      assert.equal((await bare.request({ url: 'x' })).data, 'ok')
    } finally {
      for (const name of hidden) if (before[name]) Object.defineProperty(globalThis, name, before[name]!)
    }
  })
})
