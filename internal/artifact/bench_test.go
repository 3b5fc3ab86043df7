package artifact

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// void takes any upload and forgets it, after a delay that stands for a
// distant service.
type void struct {
	url   string
	delay time.Duration
}

func (v *void) CreateArtifact(_ context.Context, _ queue.Claim, name string, _ json.RawMessage) (json.RawMessage, error) {
	time.Sleep(v.delay) // nothing waits for a condition: it is the distance
	return json.RawMessage(fmt.Sprintf(`{"storageType":"s3","putUrl":"%s/%s","contentType":"x/y"}`, v.url, name)), nil
}

func (v *void) FinishArtifact(context.Context, queue.Claim, string, string) error { return nil }

func newVoid(b *testing.B, delay time.Duration) *Publisher {
	b.Helper()
	pool := sync.Pool{New: func() any { return new([256 << 10]byte) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buffer := pool.Get().(*[256 << 10]byte)
		defer pool.Put(buffer)
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buffer[:])
		time.Sleep(delay) // as above
	}))
	b.Cleanup(server.Close)
	v := &void{url: server.URL, delay: delay}
	return &Publisher{Queue: v, Claim: func() queue.Claim { return queue.Claim{} }, SpoolDir: b.TempDir()}
}

// peak returns the largest resident size of this process in MiB, where the system tells.
func peak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.SplitSeq(string(status), "\n") {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}

func BenchmarkLargeFile(b *testing.B) {
	const size = 512 << 20
	path := filepath.Join(b.TempDir(), "large")
	out, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(out)
	source := rand.NewChaCha8([32]byte{})
	block := make([]byte, 64<<10)
	for n := 0; n < size; n += len(block) { // half noise, half the same text
		source.Read(block[:len(block)/2])
		copy(block[len(block)/2:], strings.Repeat("the quick brown fox jumps over the lazy dog\n", 1000))
		w.Write(block)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	out.Close()
	for _, encoding := range []string{Gzip, Identity} {
		b.Run(encoding, func(b *testing.B) {
			p := newVoid(b, 0)
			b.SetBytes(size)
			for b.Loop() {
				f, err := os.Open(path)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.Publish(b.Context(), File{Name: "large", ContentEncoding: encoding, Content: f}); err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
			b.ReportMetric(size/float64(1<<20)*float64(b.N)/b.Elapsed().Seconds(), "MiB/s")
			b.ReportMetric(peak(), "MiB-peak")
		})
	}
}

func BenchmarkSmallFiles(b *testing.B) {
	const files = 1000
	dir := b.TempDir()
	for i := range files {
		line := fmt.Sprintf("line of file %d\n", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(strings.Repeat(line, 4096/len(line))), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(delay.String(), func(b *testing.B) {
			p := newVoid(b, delay)
			for b.Loop() {
				slots := make(chan struct{}, 40)
				var wg sync.WaitGroup
				for i := range files {
					slots <- struct{}{}
					wg.Go(func() {
						defer func() { <-slots }()
						f, err := os.Open(filepath.Join(dir, fmt.Sprint(i)))
						if err != nil {
							b.Error(err)
							return
						}
						defer f.Close()
						if _, err := p.Publish(b.Context(), File{Name: fmt.Sprint(i), Content: f}); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(files*float64(b.N)/b.Elapsed().Seconds(), "files/s")
			b.ReportMetric(peak(), "MiB-peak")
		})
	}
}
