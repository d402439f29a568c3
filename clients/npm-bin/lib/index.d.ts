/// <reference types="node" />

/** The simulated platforms, as `platform` of a configuration names them. */
export type Platform = 'weapp' | 'tt' | 'alipay' | 'swan' | 'qq' | 'kwai' | 'xhs' | 'jd' | 'dd' | 'lark' | 'wxwork' | 'weixin-web'

export interface StartOptions {
  /** A port of 127.0.0.1; a free one if left out. */
  port?: number
  /** Milliseconds that it has to start; 10,000 if left out. */
  timeout?: number
  /** Ends it, or the attempt to start it. */
  signal?: AbortSignal
  /** Is given each line that the program prints. */
  log?: (line: string) => void
  /** The path of a program of your own; that of the platform's package if left out. */
  program?: string
}

/** Whose code, for which app. */
export interface CodeOptions {
  appid: string
  /** `weapp` if left out. */
  platform?: Platform
}

/** A program that runs until `stop`, until `signal`, and no longer than this process. It keeps no test from ending. */
export interface Started {
  /** `http://127.0.0.1:PORT`, without a slash at its end. */
  readonly url: string
  readonly pid: number
  /**
   * A login code of the user `name`, as the platform's client would get one: it works once, within the platform's time. Where a code
   * of no particular form will do, `demo-NAME-ANYTHING` needs no call.
   */
  code(name: string, options: CodeOptions): Promise<string>
  /** Resolves once it has ended. Can be called again. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** The `base_url` of an app under test is its `url`. */
export interface Simulator extends Started {}

export interface Demo extends Started {
  /** The URL of the simulated platforms. */
  readonly simulator: string
  /** The URL for operators: `/readyz`, `/metrics`. */
  readonly operators: string
}

/** Starts the platforms' side of logins. Rejects with the program's own words if it does not start. */
export function startSimulator(options?: StartOptions): Promise<Simulator>

/** Starts a login server with simulated platforms and throw-away keys. Rejects with the program's own words if it does not start. */
export function startDemo(options?: StartOptions): Promise<Demo>

/**
 * The path of the program.
 * @throws with words for a person, if there is none for `platform`, such as `linux-x64`, or its package is not installed.
 */
export function programPath(platform?: string): string
