package interactive

import (
	"encoding/binary"

	"github.com/taskcluster/generic-worker/process/terminal"
)

const (
	// mostMessage bounds one message of a client, such as a pasted text.
	mostMessage = 1 << 20

	frameInput = 1
	frameSize  = 2
)

// frame is what a message of a client says, if anything.
type frame struct {
	input []byte         // what was typed
	size  *terminal.Size // or the new size of the window
}

// parseFrame reads a message. One without rows or columns says nothing: such is
// sent for a window that is not shown. Nor does one of another kind.
func parseFrame(message []byte) frame {
	switch {
	case len(message) > 0 && message[0] == frameInput:
		return frame{input: message[1:]}
	case len(message) > 4 && message[0] == frameSize:
		size := terminal.Size{Rows: binary.LittleEndian.Uint16(message[1:]), Cols: binary.LittleEndian.Uint16(message[3:])}
		if size.Rows > 0 && size.Cols > 0 {
			return frame{size: &size}
		}
	}
	return frame{}
}
