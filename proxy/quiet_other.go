//go:build !unix

package proxy

import "net"

// tellsQuiet tells whether this platform has an answer for quiet. Without one,
// an http.Transport, which listens to idle connections, makes all requests.
const tellsQuiet = false

// quiet is not asked.
func quiet(net.Conn) bool { return false }
