// What the pages say, in both languages. A text may have {gaps}.

export type Language = 'en' | 'zh'

const en = {
  skip: 'Skip to the login',
  demo: 'demo',
  steps: 'Steps',
  language: 'Language',
  nav_login: 'Log in',
  nav_ticket: 'Ticket',
  nav_beyond: 'Phone and page',
  nav_keys: 'Keys',
  nav_replicas: 'Replicas',
  title: 'Log in once. Any replica knows you. No session store.',
  lead: 'This is the real server, three times, with simulated platforms and keys that are thrown away. Everything below happens for real: each button sends the request that stands beside it.',
  gone: 'The demo does not answer. Has it ended?',
  login_title: 'Log in',
  login_text:
    'A mini-program asks its platform for a one-time code. The server exchanges it and seals what it learns into a ticket, which the client keeps.',
  platform: 'Platform',
  user: 'User',
  user_hint: 'Any name of letters and digits. The same name is always the same user.',
  login_do: 'Log in',
  logged_in: '{user} is logged in. The ticket is below.',
  ticket_title: 'Look at the ticket',
  ticket_text: 'To everybody without a key it is an opaque string. The server opens it by cryptography alone and looks nothing up.',
  needs_login: 'Log in first: then there is a ticket.',
  ticket_label: 'The ticket',
  check_do: 'Check it',
  tamper_do: 'Change one character',
  renew_do: 'Renew it',
  accepted: 'Accepted: it is {user}’s ticket.',
  tampered: 'Refused. Character {at} was “{from}” and is “{to}” now: that is no ticket any more.',
  not_refused: 'It was accepted. It should not have been.',
  renewed: 'Renewed: a new ticket of the same login, sealed by key {kid}.',
  refused: 'Refused: {error}.',
  part_version: 'version',
  part_kid: 'key id',
  part_app: 'app tag',
  part_nonce: 'nonce',
  part_sealed: 'ciphertext',
  part_tag: 'authentication tag',
  bytes: '{count} bytes',
  claims_title: 'What the server reads in it',
  claims_hint: 'Where the platform gives a session_key, that is in the ticket, too. It never leaves the server.',
  beyond_title: 'Bind a phone, open a web page',
  beyond_text:
    'A phone number that the platform vouches for is sealed into a new ticket. A web page inside the mini-program takes the login over, without the ticket in its address.',
  phone_do: 'Bind a phone',
  phone_hint: 'Phone numbers by code: WeChat and Douyin.',
  bound: '{number} is sealed into the new ticket.',
  handover_do: 'Open a web page',
  handed_over:
    'The page below has another origin. It got the login with its address, good for a minute, and removed it from there at once.',
  not_reached: 'The page at {origin} cannot be reached from this browser.',
  frame_title: 'Web page inside the mini-program',
  keys_title: 'Rotate the key',
  keys_text:
    'A new key is a new file. It waits until every replica has it, then seals. The old one goes on opening its tickets: nobody is logged out.',
  rotate_do: 'Rotate the key',
  rotated: 'Key {kid} takes over in a few seconds.',
  rotated_ticket: 'Key {kid} takes over in a few seconds. Your ticket, of key {old}, goes on working: check it, then renew it.',
  legend_waits: 'opens, waits',
  legend_seals: 'seals and opens',
  legend_opens: 'opens only',
  state_pending: 'waits',
  state_active: 'seals',
  state_retiring: 'opens only',
  state_dead: 'ended',
  state_revoked: 'revoked',
  yours: 'your ticket',
  until: 'opens until {time}',
  now: 'now',
  seconds: '{count} s',
  replicas_title: 'Log the user out, on three replicas',
  replicas_text:
    'Three servers share a directory of keys and nothing else. A cut-off is one line in that directory. Each replica checks your ticket every second.',
  cutoff_do: 'Cut this login off',
  cut: 'The login is cut off. Its tickets are refused everywhere, renewed ones too.',
  cut_done: 'All three replicas refuse it, {seconds} s after the cut-off. Log in again: a new login works.',
  replica: 'Replica {number}',
  no_ticket: 'no ticket yet',
  card_accepted: 'accepts the ticket',
  card_refused: 'refuses the ticket',
  card_key: 'seals with',
  card_ring: 'key ring',
  after: 'after {seconds} s',
  footer: 'Keys, users and codes are gone when the demo ends. Nothing on this page comes from elsewhere.',
  view: 'What is shown',
  view_answer: 'Answer',
  view_client: 'Client code',
  copy: 'Copy',
  copied: 'Copied',
  nothing_yet: 'The request and its answer appear here.',
  exchange: 'Request and answer',
  failed: 'That did not work: {error}.',
  h5_title: 'A web page',
  h5_wait: 'Logging in …',
  h5_in: 'Logged in by the hand-over.',
  h5_out: 'Nobody is logged in: {error}.',
  h5_note: 'The same login, without phone number and session_key. Its ticket is another one.'
}

export type Key = keyof typeof en

const zh: Record<Key, string> = {
  skip: '跳到登录',
  demo: '演示',
  steps: '步骤',
  language: '语言',
  nav_login: '登录',
  nav_ticket: '票据',
  nav_beyond: '手机号与网页',
  nav_keys: '密钥',
  nav_replicas: '多副本',
  title: '登录一次，任意副本都认得，无需会话存储。',
  lead: '这里运行着三个真实的服务端，平台是模拟的，密钥用完即弃。下面的一切都真实发生：每个按钮发出的请求就显示在旁边。',
  gone: '演示程序没有响应，是否已经退出？',
  login_title: '登录',
  login_text: '小程序向平台取得一次性的登录凭证 code。服务端用它换取用户身份，并封装成一张票据，由客户端保存，这就是登录态。',
  platform: '平台',
  user: '用户',
  user_hint: '任意字母和数字。同一个名字始终是同一个用户。',
  login_do: '登录',
  logged_in: '{user} 已登录，票据见下方。',
  ticket_title: '查看票据',
  ticket_text: '没有密钥的人只能看到一串不透明的字符。服务端只靠密码学打开它，不查询任何存储。',
  needs_login: '请先登录，才会有票据。',
  ticket_label: '票据',
  check_do: '鉴权',
  tamper_do: '改动一个字符',
  renew_do: '续期',
  accepted: '通过：这是 {user} 的票据。',
  tampered: '已拒绝。第 {at} 个字符由“{from}”变成了“{to}”，它不再是有效的票据。',
  not_refused: '竟然通过了，这不应该发生。',
  renewed: '已续期：同一次登录的新票据，由密钥 {kid} 封装。',
  refused: '已拒绝：{error}。',
  part_version: '版本',
  part_kid: '密钥编号 kid',
  part_app: '应用标记',
  part_nonce: '随机数 nonce',
  part_sealed: '密文',
  part_tag: '完整性标签',
  bytes: '{count} 字节',
  claims_title: '服务端从中读到的内容',
  claims_hint: '平台提供会话密钥 session_key 时，它也在票据里，但绝不会离开服务端。',
  beyond_title: '绑定手机号，打开网页',
  beyond_text: '经平台确认的手机号会封装进新的票据。小程序内的网页可以接过登录态，而票据不会出现在网址里。',
  phone_do: '绑定手机号',
  phone_hint: '支持用 code 取手机号的平台：微信、抖音。',
  bound: '{number} 已封装进新的票据。',
  handover_do: '打开网页',
  handed_over: '下方网页属于另一个源。登录态通过网址交接给它，一分钟内有效，网页读取后立即从网址中删除。',
  not_reached: '此浏览器无法访问 {origin} 上的网页。',
  frame_title: '小程序内的网页',
  keys_title: '密钥轮换',
  keys_text: '新密钥就是一个新文件。它先等待所有副本加载，再开始封装票据。旧密钥仍能打开它封装过的票据：没有人会被踢下线。',
  rotate_do: '轮换密钥',
  rotated: '密钥 {kid} 几秒后接替。',
  rotated_ticket: '密钥 {kid} 几秒后接替。你的票据由密钥 {old} 封装，仍然有效：可以先鉴权，再续期。',
  legend_waits: '可打开，等待接替',
  legend_seals: '可封装，可打开',
  legend_opens: '仅可打开',
  state_pending: '等待',
  state_active: '封装中',
  state_retiring: '仅打开',
  state_dead: '已失效',
  state_revoked: '已吊销',
  yours: '你的票据',
  until: '可打开至 {time}',
  now: '现在',
  seconds: '{count} 秒',
  replicas_title: '踢下线：三个副本同时生效',
  replicas_text: '三个服务端只共享一个密钥目录。吊销一次登录，只需在目录里加一行。每个副本每秒都在对你的票据鉴权。',
  cutoff_do: '踢下线',
  cut: '这次登录已被吊销。它的票据（包括续期得到的）在所有副本上都会被拒绝。',
  cut_done: '吊销 {seconds} 秒后，三个副本都已拒绝。可以重新登录：新的登录不受影响。',
  replica: '副本 {number}',
  no_ticket: '尚无票据',
  card_accepted: '票据有效',
  card_refused: '拒绝该票据',
  card_key: '封装密钥',
  card_ring: '密钥环',
  after: '{seconds} 秒后',
  footer: '演示程序退出后，密钥、用户和 code 全部消失。本页面不加载任何外部资源。',
  view: '显示内容',
  view_answer: '响应',
  view_client: '客户端代码',
  copy: '复制',
  copied: '已复制',
  nothing_yet: '请求和响应会显示在这里。',
  exchange: '请求与响应',
  failed: '操作失败：{error}。',
  h5_title: '网页',
  h5_wait: '正在登录……',
  h5_in: '已通过交接登录。',
  h5_out: '未登录：{error}。',
  h5_note: '同一次登录，但不含手机号和会话密钥 session_key。它的票据是另一张。'
}

const PLATFORMS: Record<string, [string, string]> = {
  weapp: ['WeChat', '微信'],
  tt: ['Douyin', '抖音'],
  alipay: ['Alipay', '支付宝'],
  swan: ['Baidu', '百度'],
  qq: ['QQ', 'QQ'],
  kwai: ['Kuaishou', '快手'],
  xhs: ['Xiaohongshu', '小红书'],
  jd: ['JD', '京东'],
  dd: ['DingTalk', '钉钉'],
  lark: ['Lark', '飞书'],
  wxwork: ['WeCom', '企业微信'],
  'weixin-web': ['WeChat in web pages', '微信网页']
}

const KEPT = 'auth-ticket-demo:language'

/** Storage may be switched off. */
const quietly = <T>(f: () => T): T | undefined => {
  try {
    return f()
  } catch {
    return undefined
  }
}

const wanted = new URLSearchParams(location.search).get('lang') ?? quietly(() => localStorage.getItem(KEPT))
const firstKnown = navigator.languages.map((name) => name.slice(0, 2).toLowerCase()).find((name) => name === 'en' || name === 'zh')

export let language: Language = wanted === 'en' || wanted === 'zh' ? wanted : ((firstKnown as Language | undefined) ?? 'en')

export const t = (key: Key, gaps: Record<string, string | number> = {}): string =>
  (language === 'zh' ? zh : en)[key].replace(/\{(\w+)\}/g, (_, name: string) => String(gaps[name]))

export const platformName = (platform: string): string => PLATFORMS[platform]?.[language === 'zh' ? 1 : 0] ?? platform

/** Writes the texts below `root`. */
export function translate(root: ParentNode): void {
  const each = (attribute: string, write: (element: HTMLElement, text: string) => void) =>
    root.querySelectorAll<HTMLElement>(`[${attribute}]`).forEach((element) => write(element, t(element.getAttribute(attribute) as Key)))
  each('data-t', (element, text) => (element.textContent = text))
  each('data-t-label', (element, text) => element.setAttribute('aria-label', text))
  each('data-t-title', (element, text) => element.setAttribute('title', text))
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
}

export function speak(wanted: Language): void {
  language = wanted
  quietly(() => localStorage.setItem(KEPT, wanted))
}
