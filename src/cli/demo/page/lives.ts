// The lives of the keys as a picture that moves with the server's clock.
import { language, t, type Key } from './texts.js'

/** A key as the operators' `/keys` tells of it. */
export interface KeyView {
  use: string
  kid: string
  state: 'pending' | 'active' | 'retiring' | 'dead' | 'revoked'
  created: string
  seal_from: string
  seals_until: string
  opens_until: string
}

/** What the picture shows: so much before now and after it, in seconds. */
const BEFORE_S = 60
const AFTER_S = 30
const TICK_S = 15
const MOST = 6

const percent = (at: number, now: number): number =>
  Math.min(100, Math.max(0, ((at / 1000 - now / 1000 + BEFORE_S) / (BEFORE_S + AFTER_S)) * 100))

const element = (tag: string, className: string, text = ''): HTMLElement => {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}

/** A part of a life, and how it is put in its place. */
function bar(className: string, from: string, until: string): { element: HTMLElement; place: (now: number) => void } {
  const made = element('span', className)
  const place = (now: number) => {
    const [start, end] = [percent(Date.parse(from), now), percent(Date.parse(until), now)]
    made.style.left = `${start}%`
    made.style.width = `${end - start}%`
    // Goes on beyond the picture.
    made.classList.toggle('on', end === 100)
  }
  return { element: made, place }
}

const clockTime = (at: string): string =>
  new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : 'en-GB', { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at))

/** The picture, which is built anew only if the keys are others: what somebody reads or has marked stays. */
export class Lives {
  private built = ''
  private places: ((now: number) => void)[] = []

  constructor(
    private readonly list: HTMLElement,
    private readonly axis: HTMLElement
  ) {}

  draw(keys: readonly KeyView[], mine: string | undefined, now: number): void {
    const shown = keys.filter((key) => key.use === 'ticket').slice(-MOST)
    const wanted = JSON.stringify([shown, mine, language])
    if (wanted !== this.built) {
      this.built = wanted
      this.places = []
      this.list.replaceChildren(...shown.map((key) => this.row(key, mine)))
      this.drawAxis()
    }
    this.places.forEach((place) => place(now))
  }

  private row(key: KeyView, mine: string | undefined): HTMLElement {
    const row = element('li', `life ${key.state}`)
    const label = element('div', 'label')
    label.append(element('code', '', key.kid), element('span', `state ${key.state}`, t(`state_${key.state}` as Key)))
    if (key.kid === mine) label.append(element('span', 'mine', t('yours')))
    label.append(element('span', 'until', t('until', { time: clockTime(key.opens_until) })))
    const track = element('div', 'track')
    track.setAttribute('aria-hidden', 'true')
    // A key whose successor came first has never sealed.
    const sealed = Date.parse(key.seals_until) > Date.parse(key.seal_from) ? key.seals_until : key.seal_from
    const bars = [bar('waits', key.created, key.seal_from), bar('seals', key.seal_from, sealed), bar('opens', sealed, key.opens_until)]
    const now = element('span', 'now')
    now.style.left = `${percent(0, 0)}%`
    track.append(...bars.map((one) => one.element), now)
    this.places.push(...bars.map((one) => one.place))
    row.append(label, track)
    return row
  }

  private drawAxis(): void {
    const ticks = []
    for (let at = -BEFORE_S + TICK_S; at < AFTER_S; at += TICK_S) {
      const text = at === 0 ? t('now') : t('seconds', { count: at > 0 ? `+${at}` : `−${-at}` })
      const tick = element('span', at === 0 ? 'tick zero' : 'tick', text)
      tick.style.left = `${percent(at * 1000, 0)}%`
      ticks.push(tick)
    }
    this.axis.replaceChildren(...ticks)
  }
}
