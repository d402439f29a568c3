// How a ticket is renewed, stored, and sent only where it belongs.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Adapter } from '../src/index.js'
import { nativeAdapter } from '../src/native.js'
import {
  APPID,
  TWO_HOURS,
  auth,
  backEnd,
  client,
  clock,
  login,
  phone,
  rejected,
  reply,
  session,
  storedTicket,
  times,
  until,
  user
} from './support/client.js'

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
      const auth = client({ adapter: { ...nativeAdapter(phone.native), storage: { get: () => miss, set: () => {}, remove: () => {} } } })
      assert.equal((await session(auth)).status, 200)
      assert.equal(login.count('/v1/login'), 1)
    })
  }

  test('may fail', async () => {
    const fail = () => {
      throw new Error('full')
    }
    const auth = client({ adapter: { ...nativeAdapter(phone.native), storage: { get: fail, set: async () => fail(), remove: fail } } })
    assert.equal((await session(auth)).status, 200)
    auth.logout()
    assert.equal((await session(auth)).status, 200)
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
    const adapter: Adapter = {
      ...nativeAdapter(phone.native),
      send: async ({ headers, url }) =>
        url.includes('/v1/')
          ? nativeAdapter(phone.native).send({ headers, url, method: 'POST', body: `{"code":"demo-${user()}-1"}` })
          : (sent.push(headers.weixinauth), { status: 200, headers: {}, body: '' })
    }
    const auth = client({ adapter, origins: ['https://shop.example.com'] })
    for (const url of [
      'https://shop.example.com.evil.com/',
      'https://shop.example.com@evil.com/',
      'https://shop.example.com:8443/',
      'https://shop.example.com\\@evil.com/',
      'http://shop.example.com/'
    ])
      await auth.request({ url })
    assert.deepEqual(sent, Array(5).fill(undefined))
    await auth.request({ url: 'https://shop.example.com?x' })
    assert.equal(sent.length, 6)
    assert.match(sent[5]!, /^A/)
  })

  test('is not carried to another origin by a redirect', async () => {
    backEnd.interfere = ({ path }, response) =>
      path === '/from' && (response.writeHead(302, { location: elsewhere() + '/to' }), response.end(), true)
    const { status, headers } = await auth.request({ url: backEnd.url + '/from' })
    assert.deepEqual([status, headers.location], [302, elsewhere() + '/to'])
    assert.equal(backEnd.count('/to'), 0)
    // Without a ticket, a redirect is followed as ever.
    const free = await auth.request({ url: elsewhere() + '/from' })
    assert.equal(free.status, 200)
    assert.deepEqual(
      backEnd.seen.filter(({ path }) => path === '/to').map(({ headers }) => headers.weixinauth),
      [undefined]
    )
  })

  test('is in no URL, log, state, event or thrown error', async (t) => {
    const lines: unknown[] = []
    for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const)
      t.mock.method(console, level, (...args: unknown[]) => lines.push(args))
    const said: unknown[] = []
    for (const event of ['login', 'renew', 'login-failed', 'logout'] as const) auth.on(event, (about) => said.push(about))
    await auth.ensure()
    const ticket = storedTicket()
    await auth.token({ audience: 'orders' })
    await auth.phone({ code: `phone-${user()}-${Date.now()}` })
    said.push(auth.state)
    const adapter = nativeAdapter(phone.native)
    const noisy = client({
      adapter: {
        ...adapter,
        send: async (request) => {
          throw Object.assign(new Error(`cannot send ${JSON.stringify(request.headers)}`), { config: request })
        }
      }
    })
    const [error] = rejected(await times(1, () => noisy.request({ url: backEnd.url })))
    said.push(error, error!.message, error!.cause, error!.stack)
    backEnd.interfere = (_, response) => (response.destroy(), true)
    const [second] = rejected(await times(1, () => auth.request({ url: backEnd.url })))
    said.push(second, second!.message, second!.cause, second!.stack)
    auth.logout()
    assert.ok(said.length > 8)
    const tickets = [
      ticket,
      ...login.seen
        .concat(backEnd.seen)
        .map(({ headers }) => headers.weixinauth as string)
        .filter(Boolean)
    ]
    const text = JSON.stringify([
      said.map((one) => [one, String(one), { ...(one as object) }]),
      lines,
      login.seen.map(({ path }) => path),
      backEnd.seen.map(({ path }) => path)
    ])
    for (const one of tickets) assert.ok(!text.includes(one))
    assert.match(error!.message, /weixinauth":"\*"/)
  })
})
