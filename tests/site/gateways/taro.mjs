// Of Taro, what examples/websocket/socket.js uses, in Node.
const stored = new Map()
const Taro = {
  observe() {},
  getStorageSync: name => stored.get(name) ?? '',
  setStorageSync: (name, value) => stored.set(name, value),
  async request({ url, method, header, data }) {
    const answer = await fetch(url, { method, headers: header, body: data && JSON.stringify(data) })
    Taro.observe(new URL(url).pathname, answer.status)
    return { statusCode: answer.status, data: await answer.json() }
  },
  async connectSocket({ url, header }) {
    const socket = new WebSocket(url, { headers: header })
    return {
      onOpen: f => socket.addEventListener('open', f),
      onMessage: f => socket.addEventListener('message', f),
      onError: f =>
        socket.addEventListener('error', () => {
          Taro.observe('failed')
          f({ errMsg: 'connectSocket:fail' })
        }),
      onClose: f =>
        socket.addEventListener('close', event => {
          Taro.observe('closed', event.code)
          f(event)
        }),
      send: ({ data }) => socket.send(data),
      close: () => socket.close()
    }
  }
}
export default Taro
