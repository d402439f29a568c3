// How the client logs in: once for all, and not more often than it may.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AuthTicketError } from '../src/index.js'
import { nativeAdapter } from '../src/native.js'
import {
  TWO_HOURS,
  auth,
  backEnd,
  client,
  clock,
  login,
  phone,
  rejected,
  reply,
  server,
  session,
  storedTicket,
  times,
  until,
  user
} from './support/client.js'

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
    assert.deepEqual(
      answers.map(({ status }) => status),
      Array(8).fill(200)
    )
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
      backEnd.seen.length === 1 &&
      (response.writeHead(401, { 'content-type': 'text/html', 'www-authenticate': 'Bearer error="invalid_token"' }),
      response.end('<html>'),
      true)
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
    login.interfere = ({ path }, response) =>
      path === '/v1/login' &&
      login.count('/v1/login') === 1 &&
      reply(response, status, { error: 'overloaded', error_description: 'busy', request_id: 'r1' }, headers)
  }

  test('everybody waits for Retry-After, then one login serves them', async () => {
    refuse(503, { 'retry-after': '1' })
    const [error] = rejected(await times(1, session))
    assert.deepEqual(
      [error!.code, error!.status, error!.retryAfter, error!.requestId, error!.retriable],
      ['overloaded', 503, 1, 'r1', true]
    )
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

  test('it is a minute at most', async (t) => {
    refuse(503, { 'retry-after': '100000' })
    await times(1, session)
    const wait = setTimeout
    const waits: number[] = []
    // A minute passes at once.
    t.mock.method(globalThis, 'setTimeout', (f: () => void, ms: number) => (ms > 30_000 ? (waits.push(ms), wait(f, 1)) : wait(f, ms)))
    assert.equal((await session()).status, 200)
    assert.deepEqual(waits, [60_000])
  })

  test('a caller need not wait for it', async () => {
    refuse(503, { 'retry-after': '50' })
    await times(1, session)
    await assert.rejects(auth.request({ url: '/v1/session', timeout: 100 }), { code: 'timeout', retriable: true })
    assert.equal(login.count('/v1/login'), 1)
  })
})

describe('codes', () => {
  test('that are refused are replaced by a fresh one, once', async () => {
    login.interfere = ({ path }, response) =>
      path === '/v1/login' && reply(response, 401, { error: 'code_used', error_description: 'used', request_id: 'r' })
    await assert.rejects(auth.ensure(), { code: 'code_used' })
    const codes = login.seen.map(({ body }) => JSON.parse(body).code)
    assert.equal(codes.length, 2)
    assert.notEqual(codes[0], codes[1])
  })

  test('are never sent twice, even if the platform gives one again', async () => {
    const adapter = nativeAdapter(phone.native)
    const auth = client({ adapter: { ...adapter, login: async () => `demo-${user()}-same` } })
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
