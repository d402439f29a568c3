// What happens to requests.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { form } from '../src/index.js'
import { nativeAdapter } from '../src/native.js'
import { auth, backEnd, client, login, phone, rejected, reply, storedTicket, times, until } from './support/client.js'

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
    const auth = client({ timeout: 50, adapter: { ...nativeAdapter(phone.native), login: () => new Promise(() => {}) } })
    await assert.rejects(auth.ensure(), { code: 'timeout' })
  })
})

describe('requests', () => {
  test('carry JSON, forms and text', async () => {
    const send = async (data: object | string, headers?: Record<string, string>) =>
      (await auth.request({ url: backEnd.url, method: 'post', data, headers })).data
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
    const up = await auth.upload<{ headers: Record<string, string>; body: string }>({
      url: backEnd.url + '/up',
      filePath: 'tmp/a.png',
      name: 'file',
      formData: { kind: 'id' }
    })
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
