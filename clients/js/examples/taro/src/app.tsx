import { useLaunch } from '@tarojs/taro'
import type { PropsWithChildren } from 'react'
import { auth } from './auth'

export default function App({ children }: PropsWithChildren) {
  // Not awaited: requests wait for the login by themselves. A failure reaches whoever needs it.
  useLaunch(() => void auth.ensure().catch(() => {}))
  return children
}
