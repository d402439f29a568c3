// The package as others install it: both kinds of modules, examples, nothing in the lock file that is not public.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { build, type Plugin } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(root + path, 'utf8')

test('every entry is there for import and require, with the same names', async () => {
  const require = createRequire(import.meta.url)
  for (const [entry, names] of Object.entries({
    '': ['AuthTicketError', 'createAuthTicket', 'form'],
    '/native': ['nativeAdapter'],
    '/taro': ['taroAdapter'],
    '/uni': ['uniAdapter'],
    '/web': ['webAdapter', 'weixinLogin'],
    '/testing': ['fakeNative']
  })) {
    assert.deepEqual(
      Object.keys(await import(`auth-ticket-client${entry}`))
        .filter((name) => !/^default$|^module/.test(name))
        .sort(),
      names
    )
    assert.deepEqual(Object.keys(require(`auth-ticket-client${entry}`)).sort(), names)
  }
})

test('the folder for WeChat needs no "exports", and nothing outside itself', () => {
  const directory = 'dist/cjs/'
  for (const file of readdirSync(root + directory).filter((name) => name.endsWith('.js'))) {
    for (const [, path] of read(directory + file).matchAll(/require\("([^"]+)"\)/g)) assert.match(path!, /^\.\/\w+\.js$/)
  }
})

test('nothing is needed at run time, and the lock file names no registry', () => {
  const { dependencies } = JSON.parse(read('package.json'))
  assert.equal(dependencies, undefined)
  const lock = JSON.parse(read('package-lock.json'))
  for (const [path, entry] of Object.entries<any>(lock.packages)) {
    assert.equal(entry.resolved, undefined, path)
    if (path) assert.match(entry.integrity, /^sha512-/, path)
  }
})

test('the package holds no source, test or example', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' }))
  const names: string[] = files.map(({ path }: { path: string }) => path)
  for (const name of ['README.md', 'README.zh-CN.md', 'package.json', 'dist/esm/index.js', 'dist/cjs/index.d.ts', 'web/package.json'])
    assert.ok(names.includes(name), name)
  assert.deepEqual(
    names.filter((name) => /^(src|test|scripts|examples)\/|\.ts$/.test(name) && !name.endsWith('.d.ts')),
    []
  )
})

/** The script of a Vue component, which is all that can go wrong with logins. */
const vue: Plugin = {
  name: 'vue',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.vue$/ }, ({ path }) => {
      const contents = /<script setup lang="ts">([^]*)<\/script>/.exec(readFileSync(path, 'utf8'))![1]!
      return { contents, loader: 'ts', resolveDir: dirname(path) }
    })
}

for (const path of [
  'taro/src/app.tsx',
  'taro/src/pages/index.tsx',
  'native/app.js',
  'native/pages/index/index.js',
  'uni-app/src/App.vue',
  'uni-app/src/pages/index.vue',
  'page/main.js'
]) {
  test(`the example ${path} is a program`, async () => {
    const external = ['@tarojs/taro', '@tarojs/components', 'react', 'react/jsx-runtime', 'vue', '@dcloudio/uni-app']
    const options = { bundle: true, write: false, external, format: 'esm', logLevel: 'error', jsx: 'automatic', outdir: '/' } as const
    const { outputFiles } = await build({ ...options, entryPoints: [`${root}examples/${path}`], plugins: [vue] })
    assert.match(outputFiles[0]!.text, /weixinauth/)
  })
}
