package interactive

import (
	"encoding/binary"
	"errors"

	"github.com/coder/websocket"

	"github.com/taskcluster/generic-worker/process/terminal"
)

const (
	// mostMessage bounds one message of a client, such as a pasted text.
	mostMessage = 1 << 20

	frameInput = 1
	frameSize  = 2
)

var errFrame = errors.New("a message is neither text that was typed nor a size")

// frame is a message of a client.
type frame struct {
	input []byte         // what was typed
	size  *terminal.Size // or the new size of the window
}

// parseFrame reads a message. What has no rows or columns has no size: such is
// sent for a window that is not shown.
func parseFrame(kind websocket.MessageType, message []byte) (frame, error) {
	if kind != websocket.MessageBinary || len(message) == 0 {
		return frame{}, errFrame
	}
	body := message[1:]
	switch {
	case message[0] == frameInput:
		return frame{input: body}, nil
	case message[0] == frameSize && len(body) == 4:
		size := terminal.Size{Rows: binary.LittleEndian.Uint16(body), Cols: binary.LittleEndian.Uint16(body[2:])}
		if size.Rows == 0 || size.Cols == 0 {
			return frame{}, nil
		}
		return frame{size: &size}, nil
	}
	return frame{}, errFrame
}
