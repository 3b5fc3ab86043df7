package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// deployment is a queue in process whose storage and object service listen on
// a real socket.
type deployment struct {
	*httptest.Server
	// refuse, if set, is what createArtifact answers for a name.
	refuse func(name string) error
	// put, if set, serves an upload in place of storing it. n counts from 1.
	put func(w http.ResponseWriter, r *http.Request, n int)
	// method is what the object service answers to createUpload, "" as proposed.
	method string

	mu       sync.Mutex
	asked    []string // createArtifact requests
	claims   []string // client ids that asked
	stored   map[string]stored
	objects  map[string][]string // calls of the object service, by object
	finished []string            // upload ids
	puts     int
	serial   int
}

type stored struct {
	body   []byte
	header http.Header
	length int64
}

func newDeployment(t testing.TB) *deployment {
	t.Helper()
	d := &deployment{stored: map[string]stored{}, objects: map[string][]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /storage/", d.servePut)
	mux.HandleFunc("/api/object/v1/", d.serveObject)
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	d.Server = httptest.NewServer(mux)
	t.Cleanup(d.Close)
	return d
}

func (d *deployment) publisher(t testing.TB) *Publisher {
	t.Helper()
	client := queue.NewHTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	return &Publisher{
		Queue: d,
		Claim: func() queue.Claim {
			return queue.Claim{TaskID: "task", Credentials: queue.Credentials{ClientID: "newest"}}
		},
		HTTP:     client,
		RootURL:  d.URL,
		SpoolDir: t.TempDir(),
		timing:   timing{pause: time.Millisecond, stall: time.Minute},
	}
}

func (d *deployment) CreateArtifact(_ context.Context, claim queue.Claim, name string, request json.RawMessage) (json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, string(request))
	d.claims = append(d.claims, claim.Credentials.ClientID)
	if d.refuse != nil {
		if err := d.refuse(name); err != nil {
			return nil, err
		}
	}
	var ask struct{ StorageType, ContentType, Expires string }
	if err := json.Unmarshal(request, &ask); err != nil {
		return nil, err
	}
	d.serial++
	answer := map[string]any{"storageType": ask.StorageType}
	switch ask.StorageType {
	case TypeS3:
		answer["putUrl"] = fmt.Sprintf("%s/storage/%s?signature=s3cret-%d", d.URL, url.PathEscape(name), d.serial)
		answer["contentType"] = ask.ContentType
		answer["expires"] = ask.Expires
	case TypeObject:
		answer["name"] = "t/task/0/" + name
		answer["projectId"] = "tc"
		answer["uploadId"] = fmt.Sprintf("upload-%d", d.serial)
		answer["expires"] = ask.Expires
		answer["credentials"] = map[string]string{"clientId": "object", "accessToken": "tok", "certificate": `{"version":1}`}
	}
	return json.Marshal(answer)
}

func (d *deployment) FinishArtifact(_ context.Context, _ queue.Claim, _, uploadID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finished = append(d.finished, uploadID)
	return nil
}

func (d *deployment) servePut(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.puts++
	n := d.puts
	d.mu.Unlock()
	if d.put != nil {
		d.put(w, r, n)
		return
	}
	d.store(w, r)
}

// store keeps an upload only if it is whole, as storage services do.
func (d *deployment) store(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || int64(len(body)) != r.ContentLength {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/storage/")
	d.stored[name] = stored{body: body, header: r.Header, length: r.ContentLength}
}

func (d *deployment) serveObject(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	call, escaped, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/api/object/v1/"), "/")
	d.objects[escaped] = append(d.objects[escaped], r.Method+" "+call+" "+string(body))
	if !strings.HasPrefix(r.Header.Get("Authorization"), `Hawk id="object"`) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if call == "finish-upload" {
		fmt.Fprint(w, "{}")
		return
	}
	var ask struct {
		ProposedUploadMethods map[string]struct{ ObjectData []byte }
	}
	if json.Unmarshal(body, &ask) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	inline, ok := ask.ProposedUploadMethods["dataInline"]
	switch {
	case d.method == "none":
		fmt.Fprint(w, `{"uploadMethod":{}}`)
	case ok: // preferred, as by the real service
		d.stored[escaped] = stored{body: inline.ObjectData}
		fmt.Fprint(w, `{"uploadMethod":{"dataInline":true}}`)
	default:
		fmt.Fprintf(w, `{"uploadMethod":{"putUrl":{"url":"%s/storage/%s","headers":{"Content-Type":"x/y","Content-Length":"1"}}}}`, d.URL, "obj")
	}
}

// content returns what a download of the artifact gives.
func (d *deployment) content(t testing.TB, name string) []byte {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	got, ok := d.stored[name]
	if !ok {
		t.Fatalf("%s was not stored", name)
	}
	if got.header.Get("Content-Encoding") != Gzip {
		return got.body
	}
	r, err := gzip.NewReader(bytes.NewReader(got.body))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	r.Multistream(false) // one member, for every client
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return plain
}

func (d *deployment) counts() (asked, puts int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked), d.puts
}

// file writes content to a new file and opens it for reading.
func file(t testing.TB, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// sparse opens a file of zeros that takes no room on the disk.
func sparse(t testing.TB, size int64) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sparse")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}
