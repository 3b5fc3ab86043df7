package fetch

import "golang.org/x/sys/windows"

// connectionRefused is that nothing listens where a connection was to go.
const connectionRefused = windows.WSAECONNREFUSED
