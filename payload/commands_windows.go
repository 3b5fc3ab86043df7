package payload

const commandLines = true
