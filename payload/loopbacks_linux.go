package payload

// loopbacks tells that this system has loopback devices for tasks.
const loopbacks = true
