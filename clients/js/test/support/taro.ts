// Taro 4's own runtime of a platform, over a fake native object.
import { build } from 'esbuild'
import { fileURLToPath } from 'node:url'

/** The name under which Taro's runtime looks for the native object. */
const GLOBAL = { weapp: 'wx', alipay: 'my', tt: 'tt' } as const
export type TaroPlatform = keyof typeof GLOBAL

const switches = ['INNER_HTML', 'ADJACENT_HTML', 'SIZE_APIS', 'TEMPLATE_CONTENT', 'CLONE_NODE', 'CONTAINS', 'MUTATION_OBSERVER']

/** Taro's object, as a program for this platform gets it. */
export async function taro(platform: TaroPlatform, native: object): Promise<any> {
  const { outputFiles } = await build({
    stdin: {
      contents: `import '@tarojs/plugin-platform-${platform}/dist/runtime.js'; module.exports = require('@tarojs/taro')`,
      resolveDir: fileURLToPath(new URL('../..', import.meta.url))
    },
    bundle: true,
    write: false,
    format: 'cjs',
    logLevel: 'error',
    define: {
      'process.env.TARO_ENV': JSON.stringify(platform),
      'process.env.TARO_PLATFORM': '"mini"',
      'process.env.NODE_ENV': '"production"',
      'process.env.FRAMEWORK': '"react"',
      'process.env.SUPPORT_TARO_POLYFILL': '"disabled"',
      ...Object.fromEntries(switches.map((name) => [`ENABLE_${name}`, 'false']))
    }
  })
  const names = ['module', 'exports', GLOBAL[platform], 'getCurrentPages', 'getApp', 'navigator', 'Page', 'App', 'Component']
  const module = { exports: {} as any }
  const run = new Function(...names, outputFiles[0]!.text)
  run(
    module,
    module.exports,
    native,
    () => [],
    () => ({}),
    { userAgent: '' },
    () => {},
    () => {},
    () => {}
  )
  return module.exports.default ?? module.exports
}
