package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"testing"
)

// A large download is never held in memory, and neither is what it decodes to.
func TestLargeDownload(t *testing.T) {
	// Not parallel: what others allocate would count.
	const allowed = 64 << 20
	chunk := content(3, 1<<20)
	for name, c := range map[string]struct {
		chunk    []byte
		encoding string
		times    int
	}{
		"as it is": {chunk, "", 1 << 10},
		"gzip":     {zipped(t, chunk), "gzip", 1 << 8},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(c.times*len(c.chunk)))
				if c.encoding != "" {
					w.Header().Set("Content-Encoding", c.encoding)
				}
				for range c.times {
					if _, err := w.Write(c.chunk); err != nil {
						return
					}
				}
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b, err := newClient(t, quick).Open(t.Context(), Request{Locate: at(s.URL)})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, b, make([]byte, 256<<10)); err != nil || n != int64(c.times*len(chunk)) {
				t.Fatalf("%d bytes, then %v", n, err)
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > allowed {
				t.Errorf("%d bytes were allocated on the way", grown)
			}
			hash := sha256.New()
			for range c.times {
				hash.Write(chunk)
			}
			if want := hex.EncodeToString(hash.Sum(nil)); b.SHA256() != want {
				t.Errorf("SHA256() = %s, want %s", b.SHA256(), want)
			}
		})
	}
}
