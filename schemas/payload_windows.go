package schemas

import _ "embed"

// Payload is the schema of the payload of a task for this platform.
//
//go:embed payload-windows.json
var Payload []byte
