// Starts `auth-ticket`, and a proxy in front of it that counts and can get in the way.
import { spawn, execFileSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as ask, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const program = process.env.AUTH_TICKET ?? ''
if (!program) throw new Error('AUTH_TICKET is to be the path of the auth-ticket program; `make client-test` sets it')

/** Of every app that has one. */
export const SECRET = '0123456789abcdef0123456789abcdef'
export const APPID = 'wx0123456789abcdef'

const children: ChildProcess[] = []
const directories: string[] = []

/** Starts `auth-ticket ...`, ended by `stopAll`, and resolves to the first URL that it prints. */
export const start = (args: string[], env: Record<string, string> = {}): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    let output = ''
    const read = (chunk: Buffer) => {
      output += chunk
      const url = /http:\/\/[^\s;)]+/.exec(output)
      if (url) resolve(url[0])
    }
    child.stdout!.on('data', read)
    child.stderr!.on('data', (chunk) => (output += chunk))
    child.on('exit', (code) => reject(new Error(`auth-ticket ${args[0]} ended with ${code}: ${output}`)))
  })

export const run = (...args: string[]): string => execFileSync(program, args, { encoding: 'utf8' })

export interface AuthServer {
  url: string
  simulator: string
  keys: string
  /** Cuts one login off, and waits until the server knows. */
  revoke(loginId: string, ticket: string): Promise<void>
}

export const WECHAT = `[[app]]\nappid = "${APPID}"\nplatform = "weapp"\nsecret_env = "WX_SECRET"\n`

/** Makes the `[[app]]` tables; it may tell the simulator of keys, and put files into the directory. */
export type Apps = (simulator: string, directory: string) => Promise<string>

/** A server on a simulated platform, for one WeChat app or what `apps` says. `head` comes before the apps. */
export async function startServer(head = '', apps: Apps = async () => WECHAT): Promise<AuthServer> {
  const directory = mkdtempSync(join(tmpdir(), 'auth-ticket-client-'))
  directories.push(directory)
  const keys = join(directory, 'keys')
  run('keys', 'init', '--keys', keys)
  const simulator = await start(['simulator', '--listen', '127.0.0.1:0'])
  const file = join(directory, 'login.toml')
  const tables = (await apps(simulator, directory)).replace(/(platform = "[^"]+")/g, `$1\nbase_url = "${simulator}"`)
  writeFileSync(file, `listen = "127.0.0.1:0"\nadmin_listen = ""\nkeys_dir = "${keys}"\nkeys_poll = "100ms"\n${head}\n${tables}`)
  const url = await start(['serve', '--config', file], { WX_SECRET: SECRET, RUST_LOG: 'error' })
  const revoke = async (loginId: string, ticket: string) => {
    run('cutoff', 'add', '--login-id', loginId, '--keys', keys)
    for (;;) {
      const { status } = await fetch(`${url}/v1/session`, { headers: { weixinauth: ticket } })
      if (status === 401) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return { url, simulator, keys, revoke }
}

/** Ends everything that was started. */
export function stopAll(): void {
  proxies.forEach((server) => (server.close(), server.closeAllConnections()))
  children.forEach((child) => (child.removeAllListeners('exit'), child.kill()))
  directories.forEach((directory) => rmSync(directory, { recursive: true, force: true }))
}

const proxies: Server[] = []

export interface Seen {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: string
}

/** Answers instead of the server, if it returns true. */
export type Interference = (seen: Seen, response: ServerResponse, request: IncomingMessage) => boolean | Promise<boolean>

export class Proxy {
  readonly seen: Seen[] = []
  interfere: Interference | undefined
  private constructor(
    readonly url: string,
    private readonly target: string
  ) {}

  /** In front of `target`; without one, a back end that answers 200 and what it was sent. */
  static async start(target = ''): Promise<Proxy> {
    const server = createServer((request, response) => void proxy.handle(request, response))
    proxies.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const proxy = new Proxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, target)
    return proxy
  }

  /** How often a path was asked for. */
  count(path: string): number {
    return this.seen.filter((one) => one.path === path).length
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const seen = { method: request.method!, path: request.url!, headers: request.headers, body: body.toString() }
    this.seen.push(seen)
    if (this.interfere && (await this.interfere(seen, response, request))) return
    if (!this.target) {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ method: seen.method, path: seen.path, headers: seen.headers, body: seen.body }))
      return
    }
    const onward = ask(this.target + seen.path, { method: seen.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    onward.end(body)
  }
}

/** Answers with JSON. */
export const reply = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): true => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(typeof body === 'string' ? body : JSON.stringify(body))
  return true
}

/** The device's clock, which tests move. */
export const clock = { ahead: 0 }
const now = Date.now
Date.now = () => now() + clock.ahead
