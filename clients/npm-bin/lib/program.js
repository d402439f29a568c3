// Where the program is: in the package of this platform.
'use strict'
const { optionalDependencies = {} } = /** @type {{ optionalDependencies?: Record<string, string> }} */ (require('../package.json'))

const SCOPE = '@auth-ticket/'

/** Exactly as `index.d.ts` describes it. */
const programPath = (platform = `${process.platform}-${process.arch}`) => {
  const name = SCOPE + platform
  const there = Object.keys(optionalDependencies)
  if (!there.includes(name)) {
    const platforms = there.map((one) => one.slice(SCOPE.length)).join(', ')
    throw new Error(
      `error: auth-ticket has no program for ${platform}, only for ${platforms}\nhint: build it from its source with Rust: cargo build --release`
    )
  }
  try {
    return require.resolve(`${name}/bin/auth-ticket${platform.startsWith('win32') ? '.exe' : ''}`)
  } catch {
    throw new Error(
      `error: the package ${name} is not installed, which has the program for this platform\n` +
        `hint: install without --omit=optional and --no-optional; a node_modules or lock file of another platform lacks it, too`
    )
  }
}

module.exports = { programPath }
