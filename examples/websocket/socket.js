// A socket of a mini-program (Taro 3 or newer) that outlives its tickets: when the service closes it because the ticket is over,
// the ticket is renewed and another socket opened.
import Taro from '@tarojs/taro'

const TICKET_IS_OVER = 4401 // as the service says it

// The ticket anew, or a new login where it cannot be renewed any more. `login` stores a ticket, as docs/GUIDE.md shows.
async function renew(server, login) {
  const { statusCode, data } = await Taro.request({
    url: `${server}/v1/renew`,
    method: 'POST',
    header: { weixinauth: Taro.getStorageSync('AUTH_TICKET') }
  })
  if (statusCode === 200) Taro.setStorageSync('AUTH_TICKET', data.ticket)
  else if (statusCode === 401) await login()
  else throw new Error(data.error) // the ticket stays as it is
}

// Opens a socket and keeps it open. `onOpen` gets a function that sends; what was said on the socket before is said again there.
export function keepSocket({ url, server, login, onOpen, onMessage }) {
  let socket
  let stopped = false
  let failures = 0

  async function open() {
    let wasOpen = false
    let ended = false
    // Of a socket that fails, platforms tell by onError, by onClose or by both.
    const end = ({ code }) => {
      if (ended || stopped) return
      ended = true
      // A refused ticket shows as a socket that never was open.
      again(code === TICKET_IS_OVER || !wasOpen, code === TICKET_IS_OVER)
    }
    socket = await Taro.connectSocket({ url, header: { weixinauth: Taro.getStorageSync('AUTH_TICKET') } })
    socket.onOpen(() => {
      wasOpen = true
      failures = 0
      onOpen(data => socket.send({ data }))
    })
    socket.onMessage(({ data }) => onMessage(data))
    socket.onError(end)
    socket.onClose(end)
  }

  async function again(ticketFirst, atOnce) {
    // Not all clients at once after a restart of the service: up to 1, 2, 4 and at last 30 seconds.
    const delay = atOnce ? 0 : Math.random() * Math.min(30, 2 ** failures++) * 1000
    await new Promise(resolve => setTimeout(resolve, delay))
    if (stopped) return
    try {
      if (ticketFirst) await renew(server, login)
      await open()
    } catch {
      again(ticketFirst, false)
    }
  }

  open().catch(() => again(true, false))
  return function stop() {
    stopped = true
    if (socket) socket.close({})
  }
}
