// Packs the npm packages: `node pack.mjs OUT PLATFORM=PROGRAM...`, such as `linux-x64=target/release/auth-ticket`. PLATFORM is what
// Node.js calls it. `auth-ticket` lists those platforms, and each has a package with its program. The same programs make the same files.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '../..')
const KNOWN = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64', 'win32-arm64']

const fail = (why) => {
  console.error(`error: ${why}\nusage: node pack.mjs OUT PLATFORM=PROGRAM..., PLATFORM one of ${KNOWN.join(', ')}`)
  process.exit(1)
}

const [out, ...pairs] = process.argv.slice(2)
if (!out || !pairs.length) fail('nothing to pack')
const programs = pairs.map((pair) => {
  const [platform, program = ''] = pair.split(/=(.*)/s)
  if (!KNOWN.includes(platform)) fail(`${platform} is no platform`)
  if (!existsSync(program)) fail(`${program || platform}: there is no such program`)
  return { platform, program }
})

const manifest = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const { version, license } = manifest
const [, expected] = /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))
if (version !== expected) fail(`package.json has version ${version}, and Cargo.toml ${expected}`)

const staging = mkdtempSync(join(tmpdir(), 'auth-ticket-npm-'))
process.on('exit', () => rmSync(staging, { recursive: true, force: true }))
mkdirSync(out, { recursive: true })

/** Packs a directory that `fill` has filled. */
const pack = (name, contents, fill) => {
  const directory = join(staging, name.replace('/', '-'))
  mkdirSync(directory)
  writeFileSync(join(directory, 'package.json'), JSON.stringify(contents, null, 2) + '\n')
  for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(join(root, licence), join(directory, licence))
  fill(directory)
  const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', resolve(out)]
  process.stdout.write(execFileSync('npm', args, { cwd: directory, encoding: 'utf8' }))
}

for (const { platform, program } of programs) {
  const [os, cpu] = platform.split('-')
  const name = `@auth-ticket/${platform}`
  const description = `The program of auth-ticket for ${platform}; install auth-ticket`
  const contents = { name, version, description, license, os: [os], cpu: [cpu], preferUnplugged: true, files: ['bin', 'LICENSE-*'] }
  pack(name, contents, (directory) => {
    const target = join(directory, `bin/auth-ticket${os === 'win32' ? '.exe' : ''}`)
    mkdirSync(join(directory, 'bin'))
    copyFileSync(program, target)
    chmodSync(target, 0o755)
    writeFileSync(
      join(directory, 'README.md'),
      `# ${name}\n\nThe program of [auth-ticket](https://www.npmjs.com/package/auth-ticket) for ${platform}.\n`
    )
  })
}

const optionalDependencies = Object.fromEntries(programs.map(({ platform }) => [`@auth-ticket/${platform}`, version]))
pack('auth-ticket', { ...manifest, optionalDependencies }, (directory) => {
  for (const part of ['bin', 'lib', 'README.md', 'README.zh-CN.md']) cpSync(join(here, part), join(directory, part), { recursive: true })
  chmodSync(join(directory, 'bin/auth-ticket.js'), 0o755)
})
