package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
)

// sender is a body being sent once.
type sender struct {
	progress func()
	size     int64
	known    string // the hash it must have, or ""

	mu     sync.Mutex // an answer may arrive while the transport still reads
	reader io.Reader
	sent   int64
	hash   hash.Hash // nil if the hash was computed before
	err    error     // why the content cannot be sent
	closed bool
	done   chan struct{}
}

func newSender(b *body, progress func()) (*sender, error) {
	reader, err := b.open()
	if err != nil {
		return nil, err
	}
	s := &sender{progress: progress, size: b.stored, known: b.sum, reader: reader, done: make(chan struct{})}
	if b.hashed {
		s.hash = sha256.New()
	}
	return s, nil
}

// Read passes on the last bytes only when it is sure that nothing follows them
// and that they are the ones that were promised.
func (s *sender) Read(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress()
	switch {
	case s.closed:
		return 0, http.ErrBodyReadAfterClose
	case s.err != nil:
		return 0, s.err
	case s.sent == s.size:
		return 0, io.EOF
	}
	n, err := s.reader.Read(data[:min(int64(len(data)), s.size-s.sent)])
	if s.hash != nil {
		s.hash.Write(data[:n])
	}
	if err == nil && s.sent+int64(n) == s.size {
		err = s.end()
	}
	if err != nil && (!errors.Is(err, io.EOF) || s.sent+int64(n) != s.size) {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it is shorter than it was", ErrChanged)
		}
		s.err = err
		return 0, err
	}
	s.sent += int64(n)
	return n, nil
}

// end returns io.EOF if the content ends here as it must.
func (s *sender) end() error {
	if n, err := s.reader.Read(make([]byte, 1)); n != 0 {
		return fmt.Errorf("%w: it is longer than it was", ErrChanged)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	if s.hash != nil && s.known != "" && s.known != hex.EncodeToString(s.hash.Sum(nil)) {
		return ErrChanged
	}
	return io.EOF
}

// Close tells that the transport reads no more.
func (s *sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	return nil
}

func (s *sender) wait() { <-s.done }

func (s *sender) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent == s.size
}

func (s *sender) sum() string {
	if s.hash == nil {
		return s.known
	}
	return hex.EncodeToString(s.hash.Sum(nil))
}
