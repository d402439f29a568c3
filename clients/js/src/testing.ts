/** Which native object to play. */
export type FakePlatform = 'weapp' | 'alipay' | 'tt' | 'swan' | 'qq' | 'kwai' | 'dd' | 'jd' | 'xhs' | 'wxwork'

export interface FakeOptions {
  platform?: FakePlatform
  /** Who logs in: a name that auth-ticket's simulator knows how to read. */
  user?: string
  /** Sends the requests; the global `fetch` if left out. */
  fetch?: typeof fetch
}

export interface FakeNative {
  /** Give it to `nativeAdapter`, or let Taro's runtime find it as `wx`, `my`, `tt`. */
  native: any
  /** Names of the functions that were called, in order. */
  calls: string[]
  /** What is in the storage. */
  stored: Map<string, unknown>
  /** Contents of files, by path. */
  files: Map<string, Blob>
  /** How many requests ran at once, at most. */
  mostInFlight: number
  /** Set it to what the next logins fail with. */
  loginFailure: object | undefined
  /** Set it to have `checkSession` fail. */
  sessionKeyReplaced: boolean
  /** The program comes to the front. */
  show(): void
}

/** Alipay and DingTalk: other names, and only a 200 is a success. */
const ALIPAY_LIKE: FakePlatform[] = ['alipay', 'dd']

/**
 * A mini-program's native object for tests outside a phone, with real HTTP behind it. Its login codes are those of `auth-ticket simulator`.
 * It does what was seen of the platforms: which names there are, what fails, what a miss in the storage is.
 */
export function fakeNative(options: FakeOptions = {}): FakeNative {
  const { platform = 'weapp', user = 'alice' } = options
  const alipayLike = ALIPAY_LIKE.includes(platform)
  const send = options.fetch || ((url: string, init: RequestInit) => fetch(url, init))
  const shown: (() => void)[] = []
  let inFlight = 0
  let codes = 0

  const fake: FakeNative = {
    native: {},
    calls: [],
    stored: new Map(),
    files: new Map(),
    mostInFlight: 0,
    loginFailure: undefined,
    sessionKeyReplaced: false,
    show: () => shown.forEach((listener) => listener())
  }

  /** Answers later, as the platforms do: never before the call has returned. */
  const define = (name: string, run: (o: any) => Promise<any>) => {
    fake.native[name] = (o: any = {}) => {
      fake.calls.push(name)
      run(o).then(
        (result) => (o.success && o.success(result), o.complete && o.complete(result)),
        (reason) => (o.fail && o.fail(reason), o.complete && o.complete(reason))
      )
    }
  }

  const fail = (name: string, message: string, number: number) =>
    alipayLike ? { error: number, errorMessage: message } : { errMsg: `${name}:fail ${message}`, errno: number }

  const login = async (o: any, property = 'code') => {
    await undefined
    if (fake.loginFailure) throw fake.loginFailure
    // Douyin gives no code to a host that nobody is logged in to, unless its dialog may open.
    if (platform === 'tt' && user === 'nobody' && !o.force) throw fail('login', 'not logged in', 10401)
    fake.sessionKeyReplaced = false
    return { [property]: `demo-${user}-${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}${codes++}`, errMsg: 'login:ok' }
  }

  /** One request; the answer has this platform's names. `read` makes its data. */
  const perform = async (name: string, o: any, init: RequestInit, ending: AbortController, read: (answer: Response) => Promise<object>) => {
    fake.mostInFlight = Math.max(fake.mostInFlight, ++inFlight)
    try {
      const headers = { ...(o.header || {}), ...(o.headers || {}) }
      const redirect = o.redirect === 'manual' ? 'manual' : 'follow'
      const answer = await send(o.url, { ...init, headers, redirect, signal: ending.signal })
      const received = Object.fromEntries(answer.headers as any)
      const data = await read(answer)
      if (!alipayLike) return { statusCode: answer.status, header: received, errMsg: `${name}:ok`, ...data }
      const result = { status: answer.status, headers: received, ...data }
      if (answer.status !== 200) throw { error: 19, errorMessage: 'http status error', ...result }
      return result
    } catch (reason: any) {
      if (reason && 'status' in reason) throw reason
      throw fail(name, ending.signal.aborted ? 'abort' : String((reason.cause && reason.cause.message) || reason.message), 600001)
    } finally {
      inFlight--
    }
  }

  /** Refuses what platforms refuse, or do not promise to take. */
  const check = async (name: string, o: any) => {
    if (o.method && o.method !== o.method.toUpperCase()) throw fail(name, 'invalid method', 600009)
    for (const property in o) if (o[property] === undefined) throw fail(name, `parameter.${property} should not be Undefined`, 1001)
  }

  /** A function whose call returns a task that can be ended. */
  const task = (name: string, run: (o: any, ending: AbortController) => Promise<any>) => {
    fake.native[name] = (o: any) => {
      const ending = new AbortController()
      fake.calls.push(name)
      const checked = check(name, o)
      checked
        .then(() => run(o, ending))
        .then(
          (result) => (o.success && o.success(result), o.complete && o.complete(result)),
          (reason) => (o.fail && o.fail(reason), o.complete && o.complete(reason))
        )
      return { abort: () => ending.abort() }
    }
  }

  const asJson = (text: string) => {
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  }

  const requestName = platform === 'dd' ? 'httpRequest' : 'request'
  task(requestName, (o, ending) => {
    const method = o.method || 'GET'
    const body = o.data === undefined || method === 'GET' ? undefined : typeof o.data === 'string' ? o.data : JSON.stringify(o.data)
    return perform(requestName, o, { method, body }, ending, async (answer) => {
      const text = await answer.text()
      return { data: o.dataType === undefined || o.dataType === 'json' ? asJson(text) : text }
    })
  })
  task('uploadFile', (o, ending) => {
    const body = new FormData()
    Object.entries(o.formData || {}).forEach(([name, value]) => body.append(name, String(value)))
    body.append(o.name || o.fileName, fake.files.get(o.filePath) || new Blob([]), o.filePath)
    // The platform writes the content type; it knows the boundary.
    const header = Object.fromEntries(Object.entries(o.header || o.headers || {}).filter(([name]) => name.toLowerCase() !== 'content-type'))
    return perform('uploadFile', { url: o.url, header }, { method: 'POST', body }, ending, async (answer) => ({
      data: await answer.text()
    }))
  })
  task('downloadFile', (o, ending) =>
    perform('downloadFile', o, { method: 'GET' }, ending, async (answer) => {
      const path = `tmp://${fake.files.size}`
      fake.files.set(path, await answer.blob())
      return { [alipayLike ? 'apFilePath' : 'tempFilePath']: path }
    })
  )

  define('getStorage', async ({ key }) => {
    if (fake.stored.has(key)) return { data: fake.stored.get(key), errMsg: 'getStorage:ok' }
    if (alipayLike) return { data: null }
    if (platform === 'swan') return { data: '' }
    throw fail('getStorage', 'data not found', 1300202)
  })
  define('setStorage', async ({ key, data }) => void fake.stored.set(key, data))
  define('removeStorage', async ({ key }) => void fake.stored.delete(key))

  if (alipayLike) define('getAuthCode', (o) => login(o, 'authCode'))
  else if (platform === 'swan') define('getLoginCode', (o) => login(o))
  else define('login', (o) => login(o))
  if (platform === 'wxwork') {
    fake.native.qy = { login: fake.native.login }
    define('login', async () => {
      throw fail('login', 'this is not WeChat', -1)
    })
  }
  if (!alipayLike) {
    define('checkSession', async () => {
      if (fake.sessionKeyReplaced) throw fail('checkSession', 'session expired', -13001)
    })
  }
  fake.native.onAppShow = (listener: () => void) => shown.push(listener)
  fake.native.canIUse = (name: string) => name in fake.native
  return fake
}
