import { auth } from './auth'

App({
  onLaunch() {
    // Not awaited: requests wait for the login by themselves. A failure reaches whoever needs it.
    auth.ensure().catch(() => {})
  }
})
