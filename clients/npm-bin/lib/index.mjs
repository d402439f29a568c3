import main from './index.js'

export const { programPath, startDemo, startSimulator } = main
