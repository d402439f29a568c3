import { callbacks, platformAdapter } from './platform.js'
import type { Adapter } from './types.js'

export interface NativeOptions {
  /** Log in to WeCom with `wx.qy.login`. */
  wecom?: boolean
}

/** For a platform's own object: `wx`, `my`, `tt`, `swan`, `qq`, `ks`, `dd`, `jd`, `xhs`. */
export function nativeAdapter(api: object, options: NativeOptions = {}): Adapter {
  const native = api as any
  const invoke = callbacks(native)
  const login = native.getAuthCode ? 'getAuthCode' : native.getLoginCode ? 'getLoginCode' : 'login'
  // DingTalk had `httpRequest` before `request`.
  return platformAdapter(
    native,
    (name, o, request) => invoke(name === 'request' && !native.request ? 'httpRequest' : name, o, request),
    options.wecom ? (o) => callbacks(native.qy)('login', o) : (o) => invoke(login, o)
  )
}
