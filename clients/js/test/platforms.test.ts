// The whole way on each platform: its native object or Taro's own runtime, real HTTP, `auth-ticket serve` and `simulator`.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createAuthTicket, type Adapter } from '../src/index.js'
import { nativeAdapter } from '../src/native.js'
import { taroAdapter } from '../src/taro.js'
import { fakeNative, type FakeNative, type FakePlatform } from '../src/testing.js'
import { uniAdapter } from '../src/uni.js'
import { Proxy, reply, SECRET, startServer, stopAll, WECHAT, type AuthServer } from './support/server.js'
import { taro, type TaroPlatform } from './support/taro.js'

const APPIDS = {
  weapp: 'wx0123456789abcdef',
  tt: 'tt0123456789abcdef',
  alipay: '2021000000000001',
  swan: 'swan0123456789abcdef',
  qq: '1109999999',
  kwai: 'ks0123456789abcdef',
  xhs: 'xhs0123456789abcdef',
  jd: 'jd0123456789abcdef'
} as const
const AES_KEY = 'aYA0GP8JEW+D7/UFaskCWA=='
const post = async (url: string, body: object) => (await (await fetch(url, { method: 'POST', body: JSON.stringify(body) })).json()) as any

/** An address where nobody listens any more. */
const nobody = async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return `http://127.0.0.1:${port}/`
}

let server: AuthServer
let login: Proxy
let backEnd: Proxy

before(async () => {
  process.env.AES_KEY = AES_KEY
  server = await startServer('', async (simulator, directory) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(join(directory, 'app.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    writeFileSync(join(directory, 'alipay.pem'), await (await fetch(`${simulator}/_sim/alipay/public-key`)).text(), { mode: 0o600 })
    await post(`${simulator}/_sim/jd/app`, { appid: APPIDS.jd, secret: SECRET })
    await post(`${simulator}/_sim/alipay/app`, {
      appid: APPIDS.alipay,
      public_key: publicKey.export({ type: 'spki', format: 'pem' }),
      aes_key: AES_KEY
    })
    const files = `private_key_file = "${directory}/app.pem"\nalipay_public_key_file = "${directory}/alipay.pem"\nphone = true\naes_key_env = "AES_KEY"\n`
    return `${WECHAT}
${(['tt', 'swan', 'qq', 'kwai', 'xhs'] as const).map((platform) => `[[app]]\nappid = "${APPIDS[platform]}"\nplatform = "${platform}"\nsecret_env = "WX_SECRET"\nphone_unverified = true\n`).join('')}
[[app]]\nappid = "${APPIDS.jd}"\nplatform = "jd"\nsecret_env = "WX_SECRET"\nexperimental = true
[[app]]\nappid = "${APPIDS.alipay}"\nplatform = "alipay"\n${files}`
  })
  login = await Proxy.start(server.url)
  backEnd = await Proxy.start()
})
after(stopAll)

/** Ways to get at a platform. */
const ways: [string, keyof typeof APPIDS, (fake: FakeNative) => Promise<Adapter>][] = [
  ...(['weapp', 'tt', 'alipay'] as const).flatMap((platform): typeof ways => [
    [`${platform}, native`, platform, async ({ native }) => nativeAdapter(native)],
    [`${platform}, Taro 4`, platform, async ({ native }) => taroAdapter(await taro(platform as TaroPlatform, native))]
  ]),
  ['weapp, uni-app', 'weapp', async ({ native }) => uniAdapter(native)],
  ...(['swan', 'qq', 'kwai', 'xhs', 'jd'] as const).map((platform): (typeof ways)[number] => [
    `${platform}, native`,
    platform,
    async ({ native }) => nativeAdapter(native)
  ])
]

for (const [name, platform, adapt] of ways) {
  describe(name, () => {
    const user = name.replace(/[^a-z]/gi, '').toLowerCase()
    const appid = APPIDS[platform]
    let fake: FakeNative
    let adapter: Adapter
    const client = () => createAuthTicket({ baseURL: login.url, appid, origins: [backEnd.url], adapter })
    const ticket = () => (JSON.parse([...fake.stored.values()][0] as string) as { ticket: string }).ticket

    before(async () => {
      fake = fakeNative({ platform, user })
      adapter = await adapt(fake)
      login.seen.length = backEnd.seen.length = 0
      login.interfere = backEnd.interfere = undefined
    })

    test('fifty calls log in once, and the user is who they are', async () => {
      const auth = client()
      const answers = await Promise.all(Array.from({ length: 50 }, () => auth.request({ url: '/v1/session' })))
      for (const { status, data } of answers) assert.deepEqual([status, data.platform, data.appid], [200, platform, appid])
      assert.equal(login.count('/v1/login'), 1)
    })

    test('the next start goes on with the stored ticket', async () => {
      const auth = client()
      await auth.ensure()
      assert.equal((await auth.session()).active, true)
      assert.equal(login.count('/v1/login'), 1)
    })

    test('fifty calls with a revoked ticket log in once', async () => {
      const auth = client()
      const { login_id } = await auth.session()
      await server.revoke(login_id, ticket())
      const answers = await Promise.all(Array.from({ length: 50 }, () => auth.request({ url: '/v1/session' })))
      for (const { status } of answers) assert.equal(status, 200)
      assert.equal(login.count('/v1/login'), 2)
    })

    test('every status is an answer, whatever the platform thinks of it', async () => {
      const auth = client()
      backEnd.interfere = ({ path }, response) => reply(response, Number(path.slice(1)), { error: 'mine' }, { 'X-Mine': 'yes' })
      for (const status of [200, 201, 401, 404, 500]) {
        const answer = await auth.request({ url: `${backEnd.url}/${status}`, method: 'POST', data: { a: 1 } })
        assert.deepEqual([answer.status, answer.data, answer.headers['x-mine']], [status, { error: 'mine' }, 'yes'])
      }
      assert.equal(login.count('/v1/login'), 2)
      assert.equal(backEnd.seen[0]!.body, '{"a":1}')
      assert.equal(backEnd.seen[0]!.headers['content-type'], 'application/json')
      backEnd.interfere = (_, response) => (response.writeHead(403, { 'content-type': 'text/html' }), response.end('<html>no'), true)
      assert.deepEqual((await auth.request({ url: backEnd.url })).data, '<html>no')
      backEnd.interfere = undefined
    })

    test("the caller's options are not changed", async () => {
      const options = Object.freeze({
        url: backEnd.url,
        method: 'PUT',
        headers: Object.freeze({ 'X-A': '1' }),
        data: Object.freeze({ a: 1 })
      })
      const { data } = await client().request(options)
      assert.deepEqual([data.method, data.headers['x-a'], data.body], ['PUT', '1', '{"a":1}'])
    })

    test('a request can be ended', async () => {
      let ended = false
      backEnd.interfere = async (_, response) => (
        response.on('close', () => (ended = true)),
        await new Promise<void>((resolve) => response.on('close', resolve)),
        true
      )
      backEnd.seen.length = 0
      const call = client().request({ url: backEnd.url })
      while (!backEnd.seen.length) await new Promise((resolve) => setTimeout(resolve, 5))
      call.abort()
      await assert.rejects(call, { code: 'aborted' })
      while (!ended) await new Promise((resolve) => setTimeout(resolve, 5))
      backEnd.interfere = undefined
    })

    test('no answer is an error with the words of the platform', async () => {
      const [error] = await Promise.allSettled([client().request({ url: await nobody() })])
      assert.equal(error!.status, 'rejected')
      assert.match(error!.reason.message, /^network: .*ECONNREFUSED/)
      assert.ok(error!.reason.errcode)
    })

    test('files are sent and fetched with the ticket', async () => {
      const auth = client()
      fake.files.set('a.png', new Blob(['picture']))
      const up = await auth.upload({ url: backEnd.url, filePath: 'a.png', name: 'file', fileType: 'image' })
      assert.equal(up.data.headers.weixinauth, ticket())
      assert.match(up.data.body, /name="file"[^]*picture/)
      const down = await auth.download<string>({ url: backEnd.url })
      assert.deepEqual([down.status, JSON.parse(await fake.files.get(down.data)!.text()).headers.weixinauth], [200, ticket()])
    })

    test('a login that the platform refuses is an error with its words', async () => {
      const auth = client()
      await auth.ensure()
      fake.loginFailure = platform === 'alipay' ? { error: 11, errorMessage: 'denied' } : { errMsg: 'login:fail denied', errno: 11 }
      await assert.rejects(auth.login(), {
        code: 'platform_login',
        errcode: 11,
        cause: platform === 'alipay' ? 'denied' : 'login:fail denied'
      })
      fake.loginFailure = undefined
    })

    test('the phone number gets into the ticket', { skip: platform === 'jd' && 'JD has none' }, async () => {
      const auth = client()
      await auth.preparePhone()
      const wanted = { platform, appid, name: user, kind: 'phone' }
      const detail = platform === 'weapp' ? { code: `phone-${user}-1` } : await post(`${server.simulator}/_sim/encrypt`, wanted)
      const { phone_number } = await auth.phone(detail)
      assert.match(phone_number, /^\+86/)
      assert.equal((await auth.session()).phone_number, phone_number)
    })
  })
}

test('Douyin does not open its dialog unless it may', async () => {
  const fake = fakeNative({ platform: 'tt', user: 'nobody' })
  const auth = createAuthTicket({ baseURL: login.url, appid: APPIDS.tt, adapter: nativeAdapter(fake.native) })
  await assert.rejects(auth.ensure(), { code: 'platform_login', errcode: 10401 })
  await auth.login({ interactive: true })
  assert.equal(auth.state.loggedIn, true)
})

test('WeCom logs in with wx.qy.login', async () => {
  const { native, calls } = fakeNative({ platform: 'wxwork' })
  const auth = createAuthTicket({ baseURL: login.url, appid: APPIDS.weapp, adapter: nativeAdapter(native, { wecom: true }) })
  await auth.ensure()
  assert.ok(auth.state.loggedIn && calls.includes('login'))
  await assert.rejects(
    createAuthTicket({
      baseURL: login.url,
      appid: APPIDS.weapp,
      adapter: nativeAdapter(fakeNative({ platform: 'wxwork' }).native)
    }).ensure(),
    { code: 'platform_login' }
  )
})

for (const platform of ['swan', 'qq', 'kwai', 'dd', 'jd', 'xhs'] satisfies FakePlatform[]) {
  test(`${platform}: its own names of functions`, async () => {
    const fake = fakeNative({ platform })
    const auth = createAuthTicket({ baseURL: login.url, appid: APPIDS.weapp, adapter: nativeAdapter(fake.native) })
    assert.equal((await auth.request({ url: '/v1/session' })).status, 200)
    assert.equal((await auth.request({ url: '/nothing' })).status, 404)
    const loginName = { swan: 'getLoginCode', dd: 'getAuthCode' }[platform as string] ?? 'login'
    assert.deepEqual(fake.calls.slice(0, 2), ['getStorage', loginName])
    await createAuthTicket({ baseURL: login.url, appid: APPIDS.weapp, adapter: nativeAdapter(fake.native) }).ensure()
    assert.equal(fake.calls.filter((name) => name === loginName).length, 1)
  })
}

test('alipay: the phone number is what my.getPhoneNumber said, as it said it', async () => {
  const fake = fakeNative({ platform: 'alipay', user: 'erin' })
  const auth = createAuthTicket({ baseURL: login.url, appid: APPIDS.alipay, adapter: nativeAdapter(fake.native) })
  await auth.ensure()
  login.seen.length = 0
  const encrypted = async (name: string) =>
    (await post(`${server.simulator}/_sim/encrypt`, { platform: 'alipay', appid: APPIDS.alipay, name, kind: 'phone' })) as {
      response: string
    }
  const { response } = await encrypted('erin')
  const number = await auth.phone({ response })
  assert.match(number.phone_number, /^\+861\d{10}$/)
  assert.deepEqual(JSON.parse(login.seen.find(({ path }) => path === '/v1/phone')!.body), { response })
  assert.equal((await auth.session()).phone_number, number.phone_number)
  // The platform encrypts it with the app's key and not the session's: a refused ticket may be replaced by another login.
  const { login_id } = await auth.session()
  await server.revoke(login_id, (JSON.parse([...fake.stored.values()][0] as string) as { ticket: string }).ticket)
  assert.equal((await auth.phone({ response: (await encrypted('erin')).response })).phone_number, number.phone_number)
  // A changed one is the server's to refuse.
  await assert.rejects(auth.phone({ response: response.replace(/"sign":"../, '"sign":"AA') }), { code: 'bad_user_data', status: 400 })
})
