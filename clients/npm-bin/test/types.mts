// A test in TypeScript as others write one; it is compiled only.
import { programPath, startDemo, startSimulator, type Demo, type Simulator, type StartOptions } from 'auth-ticket'

const options: StartOptions = { port: 0, timeout: 5000, signal: AbortSignal.timeout(1000), log: (line: string) => console.log(line) }

export async function simulator(): Promise<string> {
  await using started: Simulator = await startSimulator(options)
  // @ts-expect-error There is no such platform.
  await started.code('alice', { appid: 'wx0123456789abcdef', platform: 'wechat' })
  // @ts-expect-error The app is missing.
  await started.code('alice')
  return started.code('alice', { appid: 'wx0123456789abcdef', platform: 'tt' })
}

export async function demo(): Promise<string[]> {
  const started: Demo = await startDemo({ program: programPath() })
  await started.stop()
  return [started.url, started.simulator, started.operators]
}
