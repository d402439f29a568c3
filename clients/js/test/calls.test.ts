// The client's calls of the server.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createAuthTicket, type Adapter } from '../src/index.js'
import { nativeAdapter } from '../src/native.js'
import {
  APPID,
  TWO_HOURS,
  auth,
  client,
  clock,
  login,
  phone,
  post,
  reply,
  server,
  session,
  storedTicket,
  until,
  user
} from './support/client.js'

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

  test('by data: it is not sent again with the ticket of another login', async () => {
    await auth.ensure()
    let release = () => {}
    login.interfere = async ({ path }, response) => {
      if (path !== '/v1/phone') return false
      await new Promise<void>((resolve) => (release = resolve))
      return reply(response, 401, { error: 'ticket_expired' })
    }
    const call = auth.phone({ encryptedData: 'AAAA', iv: 'AAAA' })
    await until(() => login.count('/v1/phone') === 1)
    await auth.login()
    release()
    await assert.rejects(call, { code: 'tap_again' })
    assert.equal(login.count('/v1/phone'), 1)
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

  test('handover is for an origin that the server lists', async () => {
    const { handover, expires_in } = await auth.handover({ origin: 'https://h5.example.com' })
    assert.match(handover, /^[\w-]{50,}$/)
    assert.equal(expires_in, 60)
    await assert.rejects(auth.handover({ origin: 'https://elsewhere.example.com' }), { code: 'invalid_request', status: 400 })
  })

  test('an answer that is none of the server is an error', async () => {
    await auth.ensure()
    for (const [status, body] of [
      [200, '<html>please log in to the Wi-Fi'],
      [200, ''],
      [502, '<html>'],
      [403, '{"error":{"code":1}}']
    ] as const) {
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

  test('logout while the storage is read brings nothing back', async () => {
    await auth.ensure()
    const text = [...phone.stored.values()][0]
    let release = (_: unknown) => {}
    const storage = { get: () => new Promise((resolve) => (release = resolve)), set: () => {}, remove: () => {} }
    const again = client({ adapter: { ...nativeAdapter(phone.native), storage } })
    const flight = again.ensure()
    await new Promise((resolve) => setTimeout(resolve, 10))
    again.logout()
    release(text)
    await assert.rejects(flight, { code: 'aborted' })
    assert.equal(again.state.loggedIn, false)
  })

  test('a login that logout has overtaken does not disturb the next one', async () => {
    const held: (() => void)[] = []
    login.interfere = async ({ path }) => path === '/v1/login' && (await new Promise<void>((resolve) => held.push(resolve)), false)
    const overtaken = auth.login()
    await until(() => held.length === 1)
    auth.logout()
    const first = session()
    await until(() => held.length === 2)
    held[0]!()
    await assert.rejects(overtaken, { code: 'aborted' })
    const second = session()
    await new Promise((resolve) => setTimeout(resolve, 50))
    held[1]!()
    assert.deepEqual([(await first).status, (await second).status, held.length], [200, 200, 2])
    assert.equal(login.count('/v1/renew'), 0)
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
    const hidden = [
      'URL',
      'URLSearchParams',
      'AbortController',
      'AbortSignal',
      'TextEncoder',
      'Blob',
      'FormData',
      'localStorage',
      'navigator'
    ]
    const before = Object.fromEntries(hidden.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]))
    const adapter: Adapter = {
      send: async ({ url }) => ({
        status: 200,
        headers: {},
        body: url.endsWith('login')
          ? {
              ticket: 'Aa',
              token_type: 'AuthTicket',
              expires_in: 9,
              expires_at: '2026-01-01T00:00:00Z',
              session_expires_at: '2026-01-02T00:00:00Z'
            }
          : 'ok'
      }),
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
