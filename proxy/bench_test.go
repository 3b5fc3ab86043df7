package proxy

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkRequest compares requests through the proxy with the same requests
// made directly, and signed by the client.
func BenchmarkRequest(b *testing.B) {
	service := upstream(b, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"alive":true}`)
	})
	for _, parallel := range []int{1, 32} {
		for _, way := range []struct {
			name, base string
			signed     bool
		}{{"direct", service + "/api", true}, {"proxy", start(b, service, nil), false}} {
			b.Run(fmt.Sprintf("%s-%d", way.name, parallel), func(b *testing.B) {
				transport := &http.Transport{MaxIdleConnsPerHost: parallel}
				defer transport.CloseIdleConnections()
				r, err := newRoot(service)
				if err != nil {
					b.Fatal(err)
				}
				s, err := newSigner(Credentials{ClientID: "c", AccessToken: secretToken, Certificate: secretCertificate}, []string{"a"})
				if err != nil {
					b.Fatal(err)
				}
				took := make([]time.Duration, b.N)
				jobs := make(chan int)
				var workers sync.WaitGroup
				for range parallel {
					workers.Go(func() {
						for i := range jobs {
							begun := time.Now()
							request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, way.base+"/queue/v1/ping", nil)
							if err != nil {
								b.Error(err)
								return
							}
							if way.signed {
								t, _ := r.resolve("/queue/v1/ping")
								request.Header.Set("Authorization", s.header(http.MethodGet, t))
							}
							response, err := transport.RoundTrip(request)
							if err != nil {
								b.Error(err)
								return
							}
							_, _ = io.Copy(io.Discard, response.Body)
							_ = response.Body.Close()
							took[i] = time.Since(begun)
						}
					})
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					jobs <- i
				}
				close(jobs)
				workers.Wait()
				slices.Sort(took)
				b.ReportMetric(float64(took[b.N/2].Microseconds()), "µs-median")
			})
		}
	}
}

// mostMemory is how much a body of any size may cost.
const mostMemory = 16 << 20

// TestX5LargeBodiesAreNotKept passes 100 MB each way and watches the memory.
// The other two sides are in this process, too.
func TestX5LargeBodiesAreNotKept(t *testing.T) {
	const size = 100 << 20
	block := make([]byte, 64<<10)
	_, _ = rand.Read(block)
	sum := func() [32]byte {
		h := sha256.New()
		for range size / len(block) {
			h.Write(block)
		}
		return [32]byte(h.Sum(nil))
	}()
	service := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		if n, err := io.Copy(h, r.Body); r.Method == http.MethodPut && (err != nil || n != size || [32]byte(h.Sum(nil)) != sum) {
			t.Errorf("the service got %d bytes, %v", n, err)
		}
		if r.Method == http.MethodGet {
			for range size / len(block) {
				_, _ = w.Write(block)
			}
		}
	})
	url := start(t, service, nil)
	call(t, http.MethodGet, url+"/queue/v1/warm", "x")
	for _, way := range []struct {
		method string
		known  int64
	}{{http.MethodPut, size}, {http.MethodPut, -1}, {http.MethodGet, 0}} {
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		stop, peak := watchMemory()
		request, err := http.NewRequestWithContext(t.Context(), way.method, url+"/queue/v1/large", nil)
		if err != nil {
			t.Fatal(err)
		}
		if way.method == http.MethodPut {
			request.Body, request.ContentLength = io.NopCloser(io.LimitReader(&repeated{block: block}, size)), way.known
		}
		transport := &http.Transport{}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		n, err := io.Copy(h, response.Body)
		response.Body.Close()
		transport.CloseIdleConnections()
		if err != nil || response.StatusCode != 200 || way.method == http.MethodGet && (n != size || [32]byte(h.Sum(nil)) != sum) {
			t.Errorf("%s: %s, %d bytes, %v", way.method, response.Status, n, err)
		}
		stop()
		if most := peak(); most > before.HeapAlloc+mostMemory {
			t.Errorf("%s of %d bytes took %d bytes of memory", way.method, size, most-before.HeapAlloc)
		}
	}
}

// repeated reads a block over and over.
type repeated struct {
	block []byte
	at    int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.block[r.at:])
	r.at = (r.at + n) % len(r.block)
	return n, nil
}

// watchMemory samples the heap until stop.
func watchMemory() (stop func(), peak func() uint64) {
	var most uint64
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
			select {
			case <-over:
				return
			case <-ticker.C:
			}
		}
	})
	return func() { close(over); watching.Wait() }, func() uint64 { return most }
}
