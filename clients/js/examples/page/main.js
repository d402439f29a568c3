import { createAuthTicket } from 'auth-ticket-client'
import { webAdapter, weixinLogin } from 'auth-ticket-client/web'

// In a web-view the mini-program hands its login over; elsewhere in WeChat the button leads to WeChat's own login.
const auth = createAuthTicket({
  baseURL: 'https://login.example.com',
  appid: 'wx0123456789abcdef',
  adapter: webAdapter({ login: weixinLogin({ scope: 'snsapi_base' }) })
})

const user = document.getElementById('user')
const button = document.getElementById('login')

try {
  const { openid } = await auth.session()
  user.textContent = `已登录:${openid}`
} catch (error) {
  user.textContent = error.code === 'handover_conflict' ? '链接属于另一位用户,当前登录未改变' : '未登录'
  button.hidden = error.code !== 'platform_login'
}
button.onclick = () => auth.login({ interactive: true })
