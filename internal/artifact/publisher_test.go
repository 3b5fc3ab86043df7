package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/gzip"

	"github.com/taskcluster/generic-worker/internal/queue"
)

var expires = time.Date(2030, 1, 2, 3, 4, 5, 6_000_000, time.UTC)

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// noise is content that does not compress, the same for the same size.
func noise(size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(data)
	return data
}

// halves is content of which about half compresses away.
func halves(size int) []byte {
	data := noise(size)
	for i := 0; i+8<<10 <= size; i += 16 << 10 {
		clear(data[i : i+8<<10])
	}
	return data
}

func TestPublishStoresExactlyTheFile(t *testing.T) {
	t.Parallel()
	contents := map[string][]byte{
		"nothing":               {},
		"one byte":              {'x'},
		"text":                  []byte(strings.Repeat("hello world\n", 1000)),
		"more than is buffered": noise(memoryBound + 1),
		"parallel, in memory":   make([]byte, parallelFrom),
		"parallel, spooled":     halves(5<<20 + 17),
		"serial, spooled":       noise(parallelFrom - 1),
	}
	for title, content := range contents {
		for _, encoding := range []string{Gzip, Identity} {
			t.Run(title+" "+encoding, func(t *testing.T) {
				t.Parallel()
				d := newDeployment(t)
				p := d.publisher(t)
				rec, err := p.Publish(t.Context(), File{Name: "public/a b+c%.dat", ContentType: "x/y", ContentEncoding: encoding, Expires: expires, Content: file(t, content)})
				if err != nil {
					t.Fatal(err)
				}
				got := d.stored["public/a b+c%.dat"]
				if plain := d.content(t, "public/a b+c%.dat"); !bytes.Equal(plain, content) {
					t.Errorf("stored %d bytes that differ from the %d of the file", len(plain), len(content))
				}
				want := Record{Name: "public/a b+c%.dat", StorageType: "s3", Bytes: int64(len(content)), Stored: got.length, SHA256: hexSum(content), Attempts: 1}
				if diff := cmp.Diff(want, rec, cmpopts.IgnoreFields(Record{}, "Elapsed")); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff([]Record{rec}, p.Records()); diff != "" {
					t.Error(diff)
				}
				if got.header.Get("Content-Type") != "x/y" || got.header.Get("Content-Encoding") != encoding {
					t.Errorf("sent headers %v", got.header)
				}
				if left, _ := os.ReadDir(p.SpoolDir); len(left) != 0 {
					t.Errorf("left %v in the spool", left)
				}
			})
		}
	}
}

func TestPublishAsksForDefaultsAndLength(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	p := d.publisher(t)
	p.Lengths = &Lengths{}
	if _, err := p.Publish(t.Context(), File{Name: "public/build.LOG", Expires: expires, Content: file(t, []byte("abc"))}); err != nil {
		t.Fatal(err)
	}
	want := []string{`{"storageType":"s3","expires":"2030-01-02T03:04:05.006Z","contentType":"text/plain","contentLength":3}`}
	if diff := cmp.Diff(want, d.asked); diff != "" {
		t.Error(diff)
	}
	if got := d.stored["public/build.LOG"].header.Get("Content-Encoding"); got != Gzip {
		t.Errorf("encoding %q", got)
	}
	if d.claims[0] != "newest" {
		t.Errorf("asked with the credentials of %q", d.claims[0])
	}
}

func TestPublishEncodedSendsItAsItIs(t *testing.T) {
	t.Parallel()
	content := []byte(strings.Repeat("a line of a log\n", 100_000))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(content)
	w.Close()
	for _, object := range []bool{false, true} {
		t.Run(fmt.Sprint("object ", object), func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			p := d.publisher(t)
			p.Object = object
			f := File{Name: "public/logs/live_backing.log", ContentEncoding: Gzip, Expires: expires, Content: file(t, packed.Bytes())}
			f.Encoded = &Encoded{Bytes: int64(len(content)), SHA256: hexSum(content)}
			rec, err := p.Publish(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if rec.SHA256 != hexSum(content) || rec.Bytes != int64(len(content)) {
				t.Errorf("recorded %+v", rec)
			}
			name := f.Name
			if object {
				name = "obj"
			}
			if !bytes.Equal(d.content(t, name), content) {
				t.Error("a download would differ from the content")
			}
		})
	}
}

// cut serves the first n uploads by reading part of the body and then ending
// the connection in some way.
func cut(d *deployment, n int, after int64, end func(w http.ResponseWriter)) {
	d.put = func(w http.ResponseWriter, r *http.Request, attempt int) {
		if attempt > n {
			d.store(w, r)
			return
		}
		io.CopyN(io.Discard, r.Body, after)
		end(w)
	}
}

func reset(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func TestPublishBeginsAnewWhenTheUploadBreaks(t *testing.T) {
	t.Parallel()
	content := noise(3 << 20)
	ends := map[string]func(http.ResponseWriter){
		"reset": reset,
		"500":   func(w http.ResponseWriter) { http.Error(w, "", 500) },
		"400":   func(w http.ResponseWriter) { http.Error(w, "", 400) },
		"503 and when to come back": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "", http.StatusServiceUnavailable)
		},
	}
	size := int64(len(content))
	for title, end := range ends {
		for _, after := range []int64{0, 1, size / 2, size - 1} {
			for _, encoding := range []string{Identity, Gzip} {
				t.Run(fmt.Sprint(title, " after ", after, " ", encoding), func(t *testing.T) {
					t.Parallel()
					d := newDeployment(t)
					cut(d, 2, after, end)
					rec, err := d.publisher(t).Publish(t.Context(), File{Name: "a", ContentEncoding: encoding, Expires: expires, Content: file(t, content)})
					if err != nil {
						t.Fatal(err)
					}
					if rec.Attempts != 3 || rec.SHA256 != hexSum(content) || !bytes.Equal(d.content(t, "a"), content) {
						t.Errorf("recorded %+v", rec)
					}
					if asked, _ := d.counts(); asked != 1 {
						t.Errorf("announced %d times", asked)
					}
				})
			}
		}
	}
}

func TestPublishDoubtsASuccessBeforeAllWasSent(t *testing.T) {
	t.Parallel()
	const size = 64 << 20 // more than the buffers of a connection hold
	for _, after := range []int64{0, 1, size / 2} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			cut(d, 2, after, func(w http.ResponseWriter) { w.WriteHeader(200) })
			f := sparse(t, size)
			rec, err := d.publisher(t).Publish(t.Context(), File{Name: "a", ContentEncoding: Identity, Expires: expires, Content: f})
			if err != nil || rec.Attempts != 3 || d.stored["a"].length != size {
				t.Errorf("got %+v, %v", rec, err)
			}
		})
	}
}

func TestPublishGivesUp(t *testing.T) {
	t.Parallel()
	answer := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			fmt.Fprint(w, `<Error><Code>Some Code</Code><Message>why not</Message><StringToSign>s3cret</StringToSign></Error>`)
		}
	}
	tests := []struct {
		name        string
		end         func(http.ResponseWriter)
		asked, puts int
		status      int
	}{
		{"connection broken", reset, 1, 5, 0},
		{"unavailable", answer(503), 1, 5, http.StatusServiceUnavailable},
		{"too slow", answer(429), 1, 5, 429},
		{"early success", answer(200), 1, 5, 200},
		{"refused", answer(403), 3, 3, http.StatusForbidden},
		{"too large", answer(413), 1, 1, 413},
		{"redirect", answer(307), 1, 1, 307},
		{"redirect for reading", answer(303), 1, 1, 303},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			cut(d, 100, 10, test.end)
			p := d.publisher(t)
			var log bytes.Buffer
			p.Log = slog.New(slog.NewTextHandler(&log, nil))
			_, err := p.Publish(t.Context(), File{Name: "a", ContentEncoding: Identity, Expires: expires, Content: sparse(t, 64<<20)})
			failure, ok := errors.AsType[*StorageError](err)
			if !ok || failure.Status != test.status {
				t.Fatalf("got %v", err)
			}
			if asked, puts := d.counts(); asked != test.asked || puts != test.puts {
				t.Errorf("announced %d times and sent %d times, want %d and %d", asked, puts, test.asked, test.puts)
			}
			for _, text := range []string{err.Error(), log.String()} {
				if strings.Contains(text, "s3cret") || strings.Contains(text, "/storage/") {
					t.Errorf("told the signed address: %s", text)
				}
			}
			if len(p.Records()) != 0 {
				t.Errorf("recorded %v", p.Records())
			}
			for i := range d.asked {
				if d.asked[i] != d.asked[0] {
					t.Errorf("asked differently: %s", d.asked[i])
				}
			}
		})
	}
}

func TestPublishAsksForAFreshAddressWhenTheOldOneExpired(t *testing.T) {
	t.Parallel()
	content := noise(1 << 20)
	d := newDeployment(t)
	d.put = func(w http.ResponseWriter, r *http.Request, n int) {
		if r.URL.Query().Get("signature") != "s3cret-3" {
			http.Error(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", http.StatusForbidden)
			return
		}
		d.store(w, r)
	}
	rec, err := d.publisher(t).Publish(t.Context(), File{Name: "a", Expires: expires, Content: file(t, content)})
	if err != nil || rec.Attempts != 3 || !bytes.Equal(d.content(t, "a"), content) {
		t.Errorf("got %+v, %v", rec, err)
	}
}

func TestPublishEndsAStalledUpload(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	release := make(chan struct{})
	d.put = func(w http.ResponseWriter, r *http.Request, n int) {
		if n > 1 {
			d.store(w, r)
			return
		}
		<-release
	}
	defer close(release)
	p := d.publisher(t)
	p.timing.stall = 5 * time.Second
	content := noise(16 << 20)
	rec, err := p.Publish(t.Context(), File{Name: "a", ContentEncoding: Identity, Expires: expires, Content: file(t, content)})
	if err != nil || rec.Attempts < 2 {
		t.Errorf("got %+v, %v", rec, err)
	}
}

func TestPublishStopsWithItsContext(t *testing.T) {
	t.Parallel()
	reason := errors.New("the task was canceled")
	tests := map[string]func(d *deployment, p *Publisher, stop func()){
		"while sending": func(d *deployment, _ *Publisher, stop func()) {
			d.put = func(_ http.ResponseWriter, r *http.Request, _ int) {
				stop()
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					<-r.Context().Done() // all was sent before the client noticed: no answer comes before it has left
				}
			}
		},
		"between attempts": func(d *deployment, p *Publisher, stop func()) {
			p.timing.pause = time.Hour
			d.put = func(w http.ResponseWriter, _ *http.Request, _ int) {
				w.WriteHeader(500)
				time.AfterFunc(10*time.Millisecond, stop)
			}
		},
		"before": func(_ *deployment, _ *Publisher, stop func()) { stop() },
	}
	for title, arrange := range tests {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			d := newDeployment(t)
			p := d.publisher(t)
			arrange(d, p, func() { cancel(reason) })
			_, err := p.Publish(ctx, File{Name: "a", ContentEncoding: Gzip, Expires: expires, Content: file(t, noise(4<<20))})
			if !errors.Is(err, reason) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPublishPassesOnWhatTheQueueRefuses(t *testing.T) {
	t.Parallel()
	classes := map[int]error{400: queue.ErrMalformed, 403: queue.ErrUnauthorized, 406: queue.ErrMalformed, 409: queue.ErrConflict, 413: queue.ErrMalformed, 503: queue.ErrUnavailable}
	for status, class := range classes {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			d.refuse = func(string) error {
				return &queue.Error{Call: "createArtifact", Status: status, Code: "X", Message: "the server's text"}
			}
			p := d.publisher(t)
			_, err := p.Publish(t.Context(), File{Name: "a", Expires: expires, Content: file(t, nil)})
			if !errors.Is(err, class) || !strings.Contains(err.Error(), "the server's text") {
				t.Errorf("got %v", err)
			}
			if _, puts := d.counts(); puts != 0 || len(p.Records()) != 0 {
				t.Errorf("sent %d, recorded %v", puts, p.Records())
			}
		})
	}
}

func TestPublishRefusesContentTypesThatAreNoHeader(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"text/plain\r\nX-Evil: 1", "text/plain\x00", strings.Repeat("x", 10<<10), "tëxt/plain"} {
		d := newDeployment(t)
		_, err := d.publisher(t).Publish(t.Context(), File{Name: "a", ContentType: bad, Expires: expires, Content: file(t, nil)})
		if !errors.Is(err, ErrContentType) {
			t.Errorf("%.20q: got %v", bad, err)
		}
		if asked, _ := d.counts(); asked != 0 {
			t.Errorf("%.20q: was announced", bad)
		}
	}
}

func TestConcurrentPublishing(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	p := d.publisher(t)
	var wg sync.WaitGroup
	for i := range 60 {
		content := halves(i * 7001)
		f := File{Name: fmt.Sprintf("public/%02d", i), Expires: expires, Content: file(t, content)}
		wg.Go(func() {
			if rec, err := p.Publish(t.Context(), f); err != nil || rec.SHA256 != hexSum(content) {
				t.Errorf("%s: %+v, %v", f.Name, rec, err)
			}
		})
	}
	wg.Wait()
	records := p.Records()
	if len(records) != 60 {
		t.Fatalf("%d records", len(records))
	}
	for i, rec := range records {
		if rec.Name != fmt.Sprintf("public/%02d", i) || rec.SHA256 != hexSum(d.content(t, rec.Name)) {
			t.Errorf("record %d: %+v", i, rec)
		}
	}
}
