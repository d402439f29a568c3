import { callbacks, platformAdapter } from './platform.js'
import type { Adapter } from './types.js'

/** For uni-app's `uni`, in mini-programs. Its pages (H5) use `webAdapter`. */
export function uniAdapter(uni: object): Adapter {
  const invoke = callbacks(uni)
  return platformAdapter(uni, invoke, (options) => invoke('login', options))
}
