import type { Adapter, Answer, Outgoing } from './types.js'

/** Calls one function of a platform: options in, a promise out. */
export type Invoke = (name: string, options: object, request?: Outgoing) => Promise<any>

/** What the platforms reject with, in one shape. */
const failed = ({ errMsg, errorMessage, message, errno, errNo, errCode, error }: any): never => {
  throw { message: errMsg || errorMessage || message, errcode: errno || errNo || errCode || error }
}

// Alipay and DingTalk reject whatever is not a 200; that is an answer all the same. They say `status` and `headers` where others say
// `statusCode` and `header`.
const answer = (called: Promise<any>, body: (result: any) => unknown): Promise<Answer> => {
  const read = (result: any): Answer => ({
    status: result.statusCode || result.status || 200,
    headers: result.header || result.headers || {},
    body: body(result)
  })
  return called.then(read, (reason) => {
    return reason.statusCode || reason.status ? read(reason) : failed(reason)
  })
}

/** What all requests have, and `more`. Some platforms refuse a property that is there and undefined. */
const common = ({ url, method, headers, timeout = 60_000 }: Outgoing, more: any = {}) => {
  for (const name in more) if (more[name] === undefined) delete more[name]
  return Object.assign(more, { url, method: method.toUpperCase(), header: headers, headers, timeout })
}

/** An adapter for whatever has the functions of a mini-program's native object. */
export const platformAdapter = (api: any, invoke: Invoke, login: (options: object) => Promise<any>): Adapter => ({
  send: (request) =>
    answer(
      invoke(
        'request',
        common(request, { data: request.body, dataType: 'text', redirect: request.headers.weixinauth ? 'manual' : 'follow' }),
        request
      ),
      (result) => result.data
    ),
  upload: (request) => {
    const { filePath, name, formData, fileType } = request
    return answer(
      invoke('uploadFile', common(request, { filePath, name, fileName: name, formData, fileType }), request),
      (result) => result.data
    )
  },
  download: (request) =>
    answer(invoke('downloadFile', common(request), request), (result) => result.tempFilePath || result.apFilePath || result.data),
  // Douyin opens its login dialog unless `force` is false.
  login: async ({ interactive }) => {
    const { code, authCode } = await login({ force: interactive }).catch(failed)
    return code || authCode
  },
  storage: {
    get: async (key) => (await invoke('getStorage', { key })).data,
    set: (key, data) => invoke('setStorage', { key, data }),
    remove: (key) => invoke('removeStorage', { key })
  },
  onShow: (shown) => {
    if (api.onAppShow) api.onAppShow(shown)
  },
  checkSession: api.checkSession ? () => invoke('checkSession', {}) : undefined
})

/** Calls with `success` and `fail`. */
export const callbacks =
  (api: any): Invoke =>
  (name, options, request) =>
    new Promise((resolve, reject) => {
      const task = api[name](Object.assign({ success: resolve, fail: reject }, options))
      if (request && task && task.abort) request.end = () => task.abort()
    })
