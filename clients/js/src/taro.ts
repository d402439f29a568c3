import { platformAdapter, type Invoke } from './platform.js'
import type { Adapter } from './types.js'

/** For Taro, in mini-programs. Its pages (H5) use `webAdapter`. */
export function taroAdapter(taro: object): Adapter {
  const api = taro as any
  // With callbacks, Taro's own promise would be rejected with nobody to catch it.
  const invoke: Invoke = async (name, options, request) => {
    const called = api[name](options)
    if (request && called.abort) request.end = () => called.abort()
    return called
  }
  return platformAdapter(api, invoke, (options) => invoke('login', options))
}
