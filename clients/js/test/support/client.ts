// A client on WeChat's native object, for each test a new user's, over real HTTP to `auth-ticket serve`.
import { after, afterEach, before, beforeEach } from 'node:test'
import { createAuthTicket, type AuthTicket, type AuthTicketError, type Config } from '../../src/index.js'
import { nativeAdapter } from '../../src/native.js'
import { fakeNative, type FakeNative } from '../../src/testing.js'
import { APPID, clock, Proxy, startServer, stopAll, type AuthServer } from './server.js'

export { APPID, clock, reply } from './server.js'

export const TWO_HOURS = 7_200_000

export let server: AuthServer
/** In front of the server. */
export let login: Proxy
/** A listed back end, which answers what it was sent. */
export let backEnd: Proxy
export let phone: FakeNative
export let auth: AuthTicket
let users = 0

export const user = () => `user${users}`
export const client = (more: Partial<Config> = {}) =>
  createAuthTicket({ baseURL: login.url, appid: APPID, origins: [backEnd.url], adapter: nativeAdapter(phone.native), ...more })
export const session = (one = auth) => one.request({ url: '/v1/session' })
export const storedTicket = () => (JSON.parse([...phone.stored.values()][0] as string) as { ticket: string }).ticket

export const times = <T>(count: number, f: () => Promise<T>) => Promise.allSettled(Array.from({ length: count }, f))
export const rejected = (results: PromiseSettledResult<unknown>[]) =>
  results.flatMap((one) => (one.status === 'rejected' ? [one.reason as AuthTicketError] : []))
export const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5))
}
export const post = async (url: string, body: object) => {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  return (await answer.json()) as any
}

before(async () => {
  const jwt = '[jwt]\naudiences = ["orders"]\npublic_audiences = ["orders"]\n'
  server = await startServer(`public_url = "http://localhost"\n${jwt}[handover]\norigins = ["https://h5.example.com"]\n`)
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
