package queue_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

func gzipped(t testing.TB, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(ctx context.Context, c *queue.Client, taskID string, runID int, name string) (string, error) {
	body, err := c.OpenArtifact(ctx, taskID, runID, name)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return string(data), err
}

func TestOpenArtifact(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	c.Credentials = func() queue.Credentials { return queue.Credentials{ClientID: "me", AccessToken: "token-of-me"} }
	id := f.AddTask(nil)
	claim := claimOne(t, c)
	upload(t, c, claim, "public/plain", "", []byte("plain text"))
	upload(t, c, claim, "public/identity", "identity", []byte("as it is"))
	upload(t, c, claim, "public/gzip", "gzip", gzipped(t, "unpacked"))
	upload(t, c, claim, "public/odd", "zstd", []byte("x"))
	upload(t, c, claim, "public/broken", "gzip", gzipped(t, strings.Repeat("unpacked", 1000))[:20])
	uploadObject(t, f, c, claim, "public/object")
	for name, request := range map[string]string{
		"public/reference": `"storageType": "reference", "contentType": "text/plain", "url": "` + f.URL + `/storage/` + id + `%2F0%2Fpublic%2Fplain"`,
		"public/link":      `"storageType": "link", "artifact": "public/gzip"`,
		"public/error":     `"storageType": "error", "reason": "file-missing-on-worker", "message": "there is no such file"`,
		"public/ftp":       `"storageType": "reference", "contentType": "text/plain", "url": "ftp://example.com/?signature=secret"`,
		"public/file":      `"storageType": "reference", "contentType": "text/plain", "url": "file:///etc/passwd"`,
		"public/gone":      `"storageType": "reference", "contentType": "text/plain", "url": "` + f.URL + `/storage/none?signature=secret"`,
	} {
		if _, err := c.CreateArtifact(t.Context(), claim, name, json.RawMessage(`{`+request+`, "expires": "`+in(time.Hour)+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"public/plain": "plain text", "public/identity": "as it is", "public/gzip": "unpacked", "public/object": "hi",
		"public/reference": "plain text", "public/link": "unpacked",
	} {
		for _, runID := range []int{0, -1} {
			if got, err := read(t.Context(), c, id, runID, name); got != want || err != nil {
				t.Errorf("%s of run %d holds %q, %v", name, runID, got, err)
			}
		}
	}
	for name, want := range map[string]string{
		"public/error":  "424 file-missing-on-worker: there is no such file",
		"public/ftp":    `it is at a "ftp" address`,
		"public/file":   `it is at a "file" address`,
		"public/odd":    `it is stored with encoding "zstd"`,
		"public/none":   "404 ResourceNotFound",
		"public/gone":   "404 NoSuchKey",
		"public/broken": "EOF",
	} {
		got, err := read(t.Context(), c, id, 0, name)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %.20q, %v, want an error with %q", name, got, err, want)
		}
	}
	for _, call := range f.Calls() {
		if call.Endpoint == "getData" && call.ClientID != "" {
			t.Errorf("storage was asked with the credentials of %q", call.ClientID)
		}
		if call.Endpoint == "getArtifact" && call.ClientID != "me" {
			t.Errorf("the queue was asked as %q", call.ClientID)
		}
	}
	noViolations(t, f)
}

func TestOpenArtifactRetriesUntilItStarts(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"getArtifact", "getData"} {
		f, c := start(t, queuetest.FakeOptions{})
		id := f.AddTask(nil)
		upload(t, c, claimOne(t, c), "a", "", []byte("data"))
		f.Inject(queuetest.Fault{Endpoint: endpoint, Kind: queuetest.FaultStatus, Max: 2}, queuetest.Fault{Endpoint: endpoint, Kind: queuetest.FaultReset, Max: 2})
		if got, err := read(t.Context(), c, id, 0, "a"); got != "data" || err != nil {
			t.Errorf("%s fails at first: %q, %v", endpoint, got, err)
		}
	}
}

// A short artifact is never taken for a whole one.
func TestOpenArtifactReportsACutBody(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	id := f.AddTask(nil)
	claim := claimOne(t, c)
	upload(t, c, claim, "plain", "", bytes.Repeat([]byte("x"), 1000))
	upload(t, c, claim, "gzip", "gzip", gzipped(t, strings.Repeat("x", 100000)))
	for _, name := range []string{"plain", "gzip"} {
		for n := range int64(100) {
			f.ClearFaults()
			f.Inject(queuetest.Fault{Endpoint: "getData", Kind: queuetest.FaultTruncate, Bytes: n + 1, Max: 1})
			got, err := read(t.Context(), c, id, 0, name)
			if err == nil && (name == "plain" && len(got) != 1000 || name == "gzip" && len(got) != 100000) {
				t.Fatalf("%s cut after %d bytes: %d bytes without error", name, n+1, len(got))
			}
		}
	}
}

// The address of a private artifact is as good as a password.
func TestOpenArtifactShowsNoSignedAddress(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"http://127.0.0.1:1/?signature=secret", "http://[secret", "http://secret.invalid:99999/", "gopher://h/secret"} {
		var log logged
		c := offline(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "tc.example.com" {
				return respond(303, "", "Location", where), nil
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		c.Log, c.Limits = log.logger(), hasty
		c.Limits.Elapsed = 10 * time.Millisecond
		_, err := read(t.Context(), c, "x", 0, "a")
		if err == nil || strings.Contains(err.Error()+log.String(), "secret") && !strings.Contains(where, "secret.invalid") {
			t.Errorf("%s: %v\n%s", where, err, log.String())
		}
	}
}

func TestOpenArtifactFollowsFewRedirects(t *testing.T) {
	t.Parallel()
	var hops int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops++
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	t.Cleanup(server.Close)
	c := &queue.Client{RootURL: server.URL, Limits: hasty}
	if _, err := read(t.Context(), c, "x", 0, "a"); err == nil || !strings.Contains(err.Error(), "redirects") || hops > 11 {
		t.Errorf("%v after %d hops", err, hops)
	}
}

func TestI8_DownloadsMayBeSlowButNotStuck(t *testing.T) {
	t.Parallel()
	for pause, wantError := range map[time.Duration]bool{30 * time.Second: false, 2 * time.Minute: true} {
		synctest.Test(t, func(t *testing.T) {
			c := offline(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path != "/data" {
					return respond(303, "", "Location", "/data"), nil
				}
				resp := respond(200, "")
				resp.ContentLength = -1
				resp.Body = struct {
					io.Reader
					io.Closer
				}{io.LimitReader(dripping{r.Context(), pause}, 100), io.NopCloser(nil)}
				return resp, nil
			})
			got, err := read(t.Context(), c, "x", 0, "a")
			if (err != nil) != wantError || !wantError && len(got) != 100 {
				t.Errorf("a byte every %s: %d bytes, %v", pause, len(got), err)
			}
		})
	}
}
