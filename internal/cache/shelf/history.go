package shelf

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"
)

// Event is something that happened to an entry.
type Event struct {
	Time   time.Time `json:"time"`
	What   string    `json:"what"` // such as "filled", "used", "kept" and "discarded"
	Kind   Kind      `json:"kind"`
	Name   string    `json:"name"`
	ID     string    `json:"id"`
	Reason string    `json:"reason,omitempty"`
	Bytes  int64     `json:"bytes,omitempty"`
}

// longestHistory is how many bytes of events are remembered, before the older
// half is forgotten.
const longestHistory = 1 << 20

// history remembers what happened, one event per line.
type history struct {
	mu   sync.Mutex
	root *os.Root
}

// add remembers an event. One that cannot be written is lost: nothing but
// curiosity depends on it.
func (h *history) add(e Event) {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	file, err := h.root.OpenFile(historyName, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	_, _ = file.Write(append(line, '\n'))
	info, err := file.Stat()
	_ = file.Close()
	if err == nil && info.Size() > longestHistory {
		h.forget()
	}
}

// forget forgets the older half.
func (h *history) forget() {
	text, err := h.root.ReadFile(historyName)
	if err != nil {
		return
	}
	_, rest, _ := bytes.Cut(text[len(text)/2:], []byte("\n"))
	if h.root.WriteFile(historyName+".new", rest, 0o600) == nil {
		_ = h.root.Rename(historyName+".new", historyName)
	}
}

// readHistory returns the events that are wanted, the oldest first. A line that
// was cut off by a kill is left out.
func readHistory(from io.Reader, wanted func(Event) bool) ([]Event, error) {
	var found []Event
	lines := bufio.NewReader(io.LimitReader(from, 2*longestHistory))
	for {
		line, err := lines.ReadBytes('\n')
		var e Event
		if json.Unmarshal(line, &e) == nil && wanted(e) {
			found = append(found, e)
		}
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return found, err
		}
	}
}
