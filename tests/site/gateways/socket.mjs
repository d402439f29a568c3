// Runs examples/websocket/socket.js in Node: SERVER GATEWAY CODE [TICKET]. Prints what happens, one JSON array a line, until the third message
// or for half a minute.
import Taro from '@tarojs/taro'
import { keepSocket } from './socket.js'

const [server, gateway, code, ticket] = process.argv.slice(2)
const tell = (...event) => console.log(JSON.stringify(event))
Taro.observe = tell
setTimeout(() => process.exit(1), 30_000).unref()

async function login() {
  const header = { 'Content-Type': 'application/json' }
  const { statusCode, data } = await Taro.request({ url: `${server}/v1/login`, method: 'POST', header, data: { code } })
  tell('login', statusCode)
  if (statusCode !== 200) throw new Error(data.error)
  Taro.setStorageSync('AUTH_TICKET', data.ticket)
}

if (ticket) Taro.setStorageSync('AUTH_TICKET', ticket)
else await login()
let messages = 0
const stop = keepSocket({
  url: `ws://${gateway}/socket`,
  server,
  login,
  onOpen: send => send(`number ${++messages}`),
  onMessage: data => {
    tell('message', data)
    if (messages === 3) stop()
  }
})
