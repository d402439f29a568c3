// The demo's page. Logins, renewals, phone numbers and hand-overs go through the client itself.
import { createAuthTicket, type Answer, type AuthTicket, type Call, type Outgoing, type Session } from 'auth-ticket-client'
import { webAdapter } from 'auth-ticket-client/web'
import { exchangeOf, Panel, type Exchange } from './exchange.js'
import { Lives, type KeyView } from './lives.js'
import { platformName, speak, language, t, translate, type Key, type Language } from './texts.js'
import { changed, HEADER_LEN, kidOf, NONCE_LEN, parts } from './ticket.js'

interface DemoApp {
  platform: string
  appid: string
  phone_by_code: boolean
}

interface Replica {
  url: string
  port: number
  keys: { now: string; fingerprint: string; keys: KeyView[] }
  check?: { status: number; error: string | null }
}

const STEPS = ['login', 'ticket', 'beyond', 'keys', 'replicas'] as const
type Step = (typeof STEPS)[number]

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T
const element = (tag: string, className = '', text = ''): HTMLElement => {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
const panels = Object.fromEntries(
  STEPS.map((step) => [step, new Panel(document.querySelector<HTMLElement>(`[data-exchange=${step}]`)!)])
) as Record<Step, Panel>

// ---- what there is

let apps: DemoApp[] = []
let replicas: Replica[] = []
/** How far the server's clock is ahead of this one, in milliseconds. */
let ahead: number | undefined

let app: DemoApp | undefined
let user = ''
let auth: AuthTicket | undefined
let ticket = ''
let session: Session | undefined
/** Where the ticket that is shown was changed, and to what. */
let tampered: { at: number; text: string } | undefined
/** When the login was cut off, and after how many seconds each replica refused it. */
let cut: { at: number; after: (number | undefined)[] } | undefined
/** What a step has to say, in the language of the moment. */
const said: Partial<Record<Step, { good: boolean; text: () => string }>> = {}

const say = (step: Step, good: boolean, key: Key, gaps: () => Record<string, string | number> = () => ({})) => {
  said[step] = { good, text: () => t(key, gaps()) }
  renderSaid(step)
}

// ---- requests

/** Sends what the client sends, and shows it beside `step`. */
const web = webAdapter()
let showing: { step: Step; client: string; path?: RegExp } | undefined

async function send(request: Outgoing): Promise<Answer> {
  const answer = await web.send(request)
  if (showing && (!showing.path || showing.path.test(request.url))) panels[showing.step].show(exchangeOf(request, answer, showing.client))
  return answer
}

/** A request without the client, whose answer is shown as it is. */
async function ask(
  step: Step,
  client: string,
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: string
): Promise<Exchange> {
  const request: Outgoing = { method, url: location.origin + path, headers, body }
  const exchange = exchangeOf(request, await web.send(request), client)
  panels[step].show(exchange)
  return exchange
}

const errorOf = (exchange: Exchange): string => {
  try {
    const { error, error_description } = JSON.parse(exchange.answer)
    return error === 'conflict' ? error_description : error
  } catch {
    return String(exchange.status)
  }
}

/** How the next login of the client gets its ticket: with a code, or by a renewal. */
let next: ((call: Call) => Promise<Awaited<ReturnType<Call>>>) | undefined
let codes = 0
const freshCode = (kind: string) => `${kind}-${user}-${Date.now().toString(36)}${codes++}`

const setUp = (): string => `import { createAuthTicket } from 'auth-ticket-client'
import { nativeAdapter } from 'auth-ticket-client/native'

const auth = createAuthTicket({
  baseURL: '${location.origin}',
  appid: '${app!.appid}',
  adapter: nativeAdapter(wx)
})
`

// ---- actions

async function logIn(): Promise<void> {
  user = byId<HTMLInputElement>('user').value.trim()
  app = apps.find((one) => one.appid === byId<HTMLSelectElement>('platform').value)!
  const memory = new Map<string, string>()
  const storage = {
    get: (key: string) => memory.get(key),
    set: (key: string, value: string) => memory.set(key, value),
    remove: (key: string) => memory.delete(key)
  }
  const login = async ({ call }: { call: Call }) => (next ? next(call) : freshCode('demo'))
  auth = createAuthTicket({ baseURL: location.origin, appid: app.appid, adapter: { send, login, storage } })
  next = undefined
  cut = undefined
  delete said.login
  renderSaid('login')
  closeView()
  showing = { step: 'login', client: `${setUp()}\nawait auth.ensure()`, path: /login$/ }
  try {
    await auth.ensure()
  } finally {
    showing = undefined
  }
  await adopt()
  const name = user
  say('login', true, 'logged_in', () => ({ user: name }))
  delete said.ticket
  delete said.beyond
  delete said.replicas
}

/** Takes over the ticket that the client has now. */
async function adopt(): Promise<void> {
  ticket = (await auth!.header()).weixinauth!
  session = await auth!.session()
  tampered = undefined
}

const verifyCode = () => `// Your back end asks /v1/verify/${app!.appid}, or its gateway does.
const { status, data } = await auth.request({ url: '/orders' })`

async function check(text: string): Promise<Exchange> {
  return ask('ticket', verifyCode(), 'GET', `/v1/verify/${app!.appid}`, { weixinauth: text })
}

async function checkIt(): Promise<void> {
  tampered = undefined
  const exchange = await check(ticket)
  if (exchange.status === 200) say('ticket', true, 'accepted', () => ({ user }))
  else say('ticket', false, 'refused', () => ({ error: errorOf(exchange) }))
}

async function tamper(): Promise<void> {
  // Not in the last four: some of their bits say nothing.
  const at = Math.floor(Math.random() * (ticket.length - 4))
  const text = changed(ticket, at)
  tampered = { at, text }
  const exchange = await check(text)
  const [from, to] = [ticket[at]!, text[at]!]
  if (exchange.status === 401) say('ticket', false, 'tampered', () => ({ at: at + 1, from, to }))
  else say('ticket', false, 'not_refused')
}

async function renew(): Promise<void> {
  const client = `// The client renews by itself: after two thirds of the ticket's life, in the background.
auth.on('renew', ({ expiresAt }) => console.log(expiresAt))`
  tampered = undefined
  if (cut) {
    const exchange = await ask('ticket', client, 'POST', '/v1/renew', { weixinauth: ticket })
    say('ticket', false, 'refused', () => ({ error: errorOf(exchange) }))
    return
  }
  const old = ticket
  next = (call) => call('renew', {}, old)
  showing = { step: 'ticket', client, path: /renew$/ }
  try {
    await auth!.login()
  } finally {
    next = showing = undefined
  }
  await adopt()
  const kid = kidOf(ticket)
  say('ticket', true, 'renewed', () => ({ kid }))
}

async function phone(): Promise<void> {
  const client = `// In the handler of <button open-type="getPhoneNumber">:
const { phone_number } = await auth.phone(event.detail)`
  showing = { step: 'beyond', client, path: /phone$/ }
  try {
    const { phone_number: number } = await auth!.phone({ code: freshCode('phone') })
    await adopt()
    delete said.ticket
    say('beyond', true, 'bound', () => ({ number }))
  } finally {
    showing = undefined
  }
}

const REACHED_MS = 5000
let waiting = 0

async function handOver(): Promise<void> {
  const origin = `${location.protocol}//${location.hostname}:${replicas[1]!.port}`
  const client = `// In the mini-program:
const { handover } = await auth.handover({ origin: '${origin}' })
this.setData({ src: '${origin}/h5#handover=' + handover })   // <web-view src="{{src}}">

// In the page:
const auth = createAuthTicket({ baseURL: location.origin, adapter: webAdapter() })
const { openid } = await auth.session()`
  showing = { step: 'beyond', client, path: /handover$/ }
  try {
    const { handover } = await auth!.handover({ origin })
    closeView()
    byId('view').hidden = false
    byId('address').textContent = `${origin}/h5#handover=${handover.slice(0, 12)}…`
    // A new frame each time: another fragment alone would load nothing.
    const frame = byId<HTMLIFrameElement>('frame').cloneNode() as HTMLIFrameElement
    frame.src = `${origin}/h5?lang=${language}#handover=${handover}`
    byId('frame').replaceWith(frame)
    waiting = window.setTimeout(() => say('beyond', false, 'not_reached', () => ({ origin })), REACHED_MS)
    say('beyond', true, 'handed_over')
  } finally {
    showing = undefined
  }
}

const closeView = () => {
  clearTimeout(waiting)
  byId('view').hidden = true
}

const JSON_TYPE = { 'content-type': 'application/json' }

async function rotate(): Promise<void> {
  const client = `# Not the client's affair. On the server, where the default lead is 15 minutes:
auth-ticket keys rotate --keys /etc/auth-ticket/keys`
  const exchange = await ask('keys', client, 'POST', '/_demo/rotate', JSON_TYPE, '{}')
  if (exchange.status !== 200) return say('keys', false, 'failed', () => ({ error: errorOf(exchange) }))
  const { kid } = JSON.parse(exchange.answer)
  const old = ticket && kidOf(ticket)
  say('keys', true, old ? 'rotated_ticket' : 'rotated', () => ({ kid, old }))
}

async function cutOff(): Promise<void> {
  const client = `# Not the client's affair. On the server:
auth-ticket cutoff add --login-id ${session!.login_id} --keys /etc/auth-ticket/keys`
  const exchange = await ask('replicas', client, 'POST', '/_demo/cutoff', { ...JSON_TYPE, weixinauth: ticket }, '{}')
  if (exchange.status !== 200) return say('replicas', false, 'failed', () => ({ error: errorOf(exchange) }))
  cut = { at: performance.now(), after: replicas.map(() => undefined) }
  closeView()
  delete said.beyond
  say('replicas', true, 'cut')
}

// ---- what is shown

function renderSaid(step: Step): void {
  const place = document.querySelector<HTMLElement>(`[data-says=${step}]`)!
  const what = said[step]
  place.className = what ? `says ${what.good ? 'ok' : 'bad'}` : 'says'
  const text = what ? what.text() : ''
  if (place.textContent !== text) place.textContent = text
}

const definition = (name: string, value: string, className = ''): HTMLElement => {
  const group = element('div', className)
  group.append(element('dt', '', name), element('dd', '', value))
  return group
}

function renderTicket(): void {
  document.querySelectorAll<HTMLElement>('.has-ticket').forEach((one) => (one.hidden = !ticket))
  document.querySelector<HTMLElement>('.needs')!.hidden = !!ticket
  if (!ticket) return
  const text = tampered?.text ?? ticket
  const segments: [string, number, number][] = [
    ['header', 0, HEADER_LEN],
    ['nonce', HEADER_LEN, HEADER_LEN + NONCE_LEN],
    ['sealed', HEADER_LEN + NONCE_LEN, text.length]
  ]
  byId('ticket-text').replaceChildren(
    ...segments.map(([name, from, until]) => {
      const segment = element('span', name)
      if (!tampered || tampered.at < from || tampered.at >= until) {
        segment.textContent = text.slice(from, until)
      } else {
        const { at } = tampered
        segment.append(text.slice(from, at), element('mark', '', text[at]), text.slice(at + 1, until))
      }
      return segment
    })
  )
  const colour = { version: 'header', kid: 'header', app: 'header', nonce: 'nonce', sealed: 'sealed', tag: 'sealed' }
  byId('parts').replaceChildren(
    ...parts(ticket).map(({ name, hex, length }) =>
      definition(t(`part_${name}`), hex ? (hex.length > 16 ? `${hex.slice(0, 14)}…` : hex) : t('bytes', { count: length }), colour[name])
    )
  )
  const { active, ...claims } = session!
  byId('claims').replaceChildren(...Object.entries(claims).map(([name, value]) => definition(name, String(value))))
}

function renderButtons(): void {
  const good = !!ticket && !cut
  const last = replicas[0]?.keys.keys.at(-1)
  const may: Record<string, boolean> = {
    check: !!ticket,
    tamper: !!ticket,
    renew: !!ticket,
    phone: good && app!.phone_by_code,
    handover: good && replicas.length > 1,
    cutoff: good,
    rotate: last?.state !== 'pending'
  }
  document.querySelectorAll<HTMLButtonElement>('[data-do]').forEach((button) => {
    // Not `disabled` while it has the focus: that would be lost.
    const allowed = may[button.dataset.do!]!
    button.disabled = !allowed && document.activeElement !== button
    button.setAttribute('aria-disabled', String(!allowed))
  })
  byId('phone-hint').hidden = !app || app.phone_by_code
}

let cardsShown = ''

function renderReplicas(): void {
  // Every second; what somebody reads there stays if it is still so.
  const wanted = JSON.stringify([replicas.map(({ url, check, keys }) => [url, check, keys.keys, keys.fingerprint]), cut?.after, language])
  if (wanted === cardsShown) return
  cardsShown = wanted
  const cards = replicas.map((replica, index) => {
    const card = element('li', 'card')
    const heading = element('h3', '', t('replica', { number: index + 1 }))
    heading.append(element('small', '', replica.url.replace('http://', '')))
    const { check } = replica
    const verdict = element('p', check ? (check.status === 200 ? 'verdict ok' : 'verdict bad') : 'verdict')
    verdict.textContent = check ? t(check.status === 200 ? 'card_accepted' : 'card_refused') : t('no_ticket')
    card.append(heading, verdict)
    if (check?.error) {
      const why = element('p', 'why')
      why.append(element('code', '', check.error))
      const after = cut?.after[index]
      if (after !== undefined) why.append(` ${t('after', { seconds: after.toFixed(1) })}`)
      card.append(why)
    }
    const facts = element('dl', 'facts')
    const active = replica.keys.keys.find((key) => key.use === 'ticket' && key.state === 'active')
    facts.append(definition(t('card_key'), active?.kid ?? '–'), definition(t('card_ring'), replica.keys.fingerprint.slice(0, 8)))
    card.append(facts)
    return card
  })
  byId('cards').replaceChildren(...cards)
}

function renderPlatforms(): void {
  const select = byId<HTMLSelectElement>('platform')
  const chosen = select.value
  select.replaceChildren(
    ...apps.map(({ platform, appid }) => {
      const option = document.createElement('option')
      option.value = appid
      option.textContent = platformName(platform)
      return option
    })
  )
  if (chosen) select.value = chosen
}

const lives = new Lives(byId('lives'), byId('axis'))

function renderLives(): void {
  if (ahead === undefined || !replicas[0]) return
  lives.draw(replicas[0].keys.keys, ticket ? kidOf(ticket) : undefined, Date.now() + ahead)
}

function render(): void {
  renderTicket()
  renderButtons()
  renderReplicas()
  STEPS.forEach(renderSaid)
}

function renderAll(): void {
  translate(document)
  document
    .querySelectorAll<HTMLButtonElement>('[data-lang]')
    .forEach((button) => button.setAttribute('aria-pressed', String(button.dataset.lang === language)))
  renderPlatforms()
  Object.values(panels).forEach((panel) => panel.render())
  render()
  renderLives()
}

// ---- by itself

const EVERY_MS = 1000
/** Just after a cut-off. */
const SOON_MS = 200

async function look(): Promise<void> {
  const asked = ticket
  try {
    const answer = await fetch('/_demo/replicas', { headers: asked ? { weixinauth: asked } : {} })
    const seen: { apps: DemoApp[]; replicas: Replica[] } = await answer.json()
    const isFirst = apps.length === 0
    ;({ apps, replicas } = seen)
    ahead ??= Date.parse(replicas[0]!.keys.now) - Date.now()
    // The server's time has whole seconds.
    ahead = Math.max(ahead, Date.parse(replicas[0]!.keys.now) - Date.now())
    if (isFirst) renderPlatforms()
    if (cut && asked === ticket) noteRefusals(cut)
    byId('gone').hidden = true
  } catch {
    byId('gone').hidden = false
  }
  renderButtons()
  renderReplicas()
}

function noteRefusals({ at, after }: NonNullable<typeof cut>): void {
  replicas.forEach(({ check }, index) => {
    if (check?.status === 401) after[index] ??= (performance.now() - at) / 1000
  })
  if (after.every((one) => one !== undefined) && said.replicas) {
    const seconds = Math.max(...(after as number[])).toFixed(1)
    say('replicas', true, 'cut_done', () => ({ seconds }))
  }
}

async function keepLooking(): Promise<void> {
  for (;;) {
    if (!document.hidden) await look()
    const soon = cut && cut.after.some((one) => one === undefined)
    await new Promise((resolve) => setTimeout(resolve, soon ? SOON_MS : EVERY_MS))
  }
}

// ---- begin

const actions: Record<string, [Step, () => Promise<void>]> = {
  check: ['ticket', checkIt],
  tamper: ['ticket', tamper],
  renew: ['ticket', renew],
  phone: ['beyond', phone],
  handover: ['beyond', handOver],
  rotate: ['keys', rotate],
  cutoff: ['replicas', cutOff]
}

let busy = false
async function run(step: Step, action: () => Promise<void>): Promise<void> {
  if (busy) return
  busy = true
  try {
    await action()
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string }
    say(step, false, 'failed', () => ({ error: code ?? message ?? '' }))
  } finally {
    busy = false
  }
  render()
  renderLives()
}

document.querySelectorAll<HTMLButtonElement>('[data-do]').forEach((button) =>
  button.addEventListener('click', () => {
    const [step, action] = actions[button.dataset.do!]!
    if (button.getAttribute('aria-disabled') !== 'true') void run(step, action)
  })
)
byId('login-form').addEventListener('submit', (event) => {
  event.preventDefault()
  void run('login', logIn)
})
document.querySelectorAll<HTMLButtonElement>('[data-lang]').forEach((button) =>
  button.addEventListener('click', () => {
    speak(button.dataset.lang as Language)
    renderAll()
  })
)
window.addEventListener('message', ({ data, source }) => {
  if (data === 'loaded' && source === byId<HTMLIFrameElement>('frame').contentWindow) clearTimeout(waiting)
})

renderAll()
void keepLooking()
const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
setInterval(() => document.hidden || renderLives(), calm ? 1000 : 100)
