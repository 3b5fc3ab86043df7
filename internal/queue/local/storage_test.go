package local_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local"
)

// putURL announces an s3 artifact of a running task.
func (s *server) putURL(t *testing.T, name string) string {
	t.Helper()
	if _, err := s.CreateTask(t.Context(), slugid.Nice(), definition(t, nil)); err != nil {
		t.Fatal(err)
	}
	claims, err := s.Claim(t.Context(), somePool, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %v, %v", claims, err)
	}
	raw, err := s.CreateArtifact(t.Context(), claims[0], name, fmt.Appendf(
		nil, `{"storageType":"s3","contentType":"text/html","expires":%q}`, tcclient.Time(time.Now().Add(time.Hour)),
	))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ PutURL string }
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.PutURL
}

func request(t *testing.T, verb, url string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), verb, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// TestSignedURL checks that a signed URL is good for what it was made for
// only.
func TestSignedURL(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond, MaxUpload: 10})
	put := s.putURL(t, "public/a")
	const html = "text/html"
	for name, row := range map[string]struct {
		r    *http.Request
		want int
	}{
		"as announced":       {request(t, "PUT", put, strings.NewReader("0123456789"), "Content-Type", html), 200},
		"too much":           {request(t, "PUT", put, strings.NewReader("0123456789a"), "Content-Type", html), 413},
		"without length":     {request(t, "PUT", put, io.MultiReader(strings.NewReader("x")), "Content-Type", html), 411},
		"another type":       {request(t, "PUT", put, strings.NewReader("x"), "Content-Type", "text/plain"), 403},
		"another artifact":   {request(t, "PUT", strings.Replace(put, "public%2Fa", "public%2Fb", 1), strings.NewReader("x"), "Content-Type", html), 403},
		"another kind":       {request(t, "PUT", strings.Replace(put, "/artifact/", "/object/", 1), strings.NewReader("x"), "Content-Type", html), 403},
		"to read":            {request(t, "GET", put, nil), 403},
		"a later expiry":     {request(t, "PUT", strings.Replace(put, "expires=1", "expires=2", 1), strings.NewReader("x"), "Content-Type", html), 403},
		"without signature":  {request(t, "PUT", put[:strings.Index(put, "&signature")], strings.NewReader("x"), "Content-Type", html), 403},
		"deleting":           {request(t, "DELETE", put, nil), 404},
		"through an old run": {request(t, "PUT", put+"&upload=x", strings.NewReader("x"), "Content-Type", html), 403},
	} {
		if status, text := do(t, row.r); status != row.want {
			t.Errorf("%s: %d %s, want %d", name, status, text, row.want)
		}
	}
}

// TestDownload checks the headers of what a task left, and parts of it.
func TestDownload(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	put := s.putURL(t, "public/page.html")
	id := strings.Split(strings.Split(put, "/storage/artifact/")[1], "%2F")[0]
	read := fmt.Sprintf("%s/api/queue/v1/task/%s/artifacts/public%%2Fpage.html", s.url, id)
	get := func(verb string, header ...string) (*http.Response, string) {
		answer, err := http.DefaultClient.Do(request(t, verb, read, nil, header...))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(text)
	}
	if answer, text := get("GET"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("before the data arrived: %d %s, want 404", answer.StatusCode, text)
	}
	if status, text := do(t, request(t, "PUT", put, strings.NewReader("<script>"), "Content-Type", "text/html", "Content-Encoding", "x-custom")); status != 200 {
		t.Fatalf("PUT: %d %s", status, text)
	}
	answer, text := get("GET")
	if text != "<script>" || answer.ContentLength != 8 {
		t.Errorf("read %q of length %d, want <script> of length 8", text, answer.ContentLength)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html", "Content-Encoding": "x-custom", "Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff",
	} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if part, text := get("GET", "Range", "bytes=1-6"); part.StatusCode != http.StatusPartialContent || text != "script" || part.ContentLength != 6 {
		t.Errorf("bytes 1 to 6: %d %q", part.StatusCode, text)
	}
	if same, _ := get("GET", "If-None-Match", answer.Header.Get("ETag")); same.StatusCode != http.StatusNotModified {
		t.Errorf("with its ETag: %d, want 304", same.StatusCode)
	}
}

// TestTruncatedUpload cuts an upload off and checks that nothing changes.
func TestTruncatedUpload(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	put := s.putURL(t, "public/x")
	r := request(t, "PUT", put, io.MultiReader(strings.NewReader("half")), "Content-Type", "text/html")
	r.ContentLength = 8
	if answer, err := http.DefaultClient.Do(r); err == nil {
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			t.Error("half an upload was accepted")
		}
	}
	id := strings.Split(strings.Split(put, "/storage/artifact/")[1], "%2F")[0]
	if content, err := s.OpenArtifact(t.Context(), id, 0, "public/x"); err == nil {
		content.Close()
		t.Error("half an upload can be read")
	}
}

// TestObjectUpload uploads objects in the ways that clients propose.
func TestObjectUpload(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	people := permanent(s.Credentials())
	expires := tcclient.Time(time.Now().Add(time.Hour)).String()
	for name, row := range map[string]struct {
		methods string
		content string
		want    string // the method that is chosen
	}{
		"inline":                  {`{"dataInline":{"contentType":"text/plain","objectData":"aW5saW5l"}}`, "inline", "dataInline"},
		"inline, and put too":     {`{"dataInline":{"contentType":"text/plain","objectData":"aW5saW5l"},"putUrl":{"contentType":"text/plain","contentLength":6}}`, "inline", "dataInline"},
		"put":                     {`{"putUrl":{"contentType":"text/plain","contentLength":3}}`, "put", "putUrl"},
		"put, and empty inline":   {`{"dataInline":{"contentType":"","objectData":""},"putUrl":{"contentType":"text/plain","contentLength":3}}`, "put", "putUrl"},
		"empty":                   {`{"dataInline":{"contentType":"text/plain","objectData":""},"putUrl":{"contentType":"text/plain","contentLength":0}}`, "", "dataInline"},
		"none that is acceptable": {`{}`, "", ""},
	} {
		path, upload := "/api/object/v1/upload/"+slugid.Nice(), slugid.Nice()
		body := `{"projectId":"p","uploadId":"` + upload + `","expires":"` + expires + `","proposedUploadMethods":` + row.methods + `}`
		status, text := s.send(t, people, "PUT", path, []byte(body))
		var answer struct {
			UploadMethod struct {
				DataInline bool
				PutURL     *struct {
					URL     string
					Headers map[string]string
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 {
			t.Errorf("%s: %d %s %v", name, status, text, err)
			continue
		}
		chosen := ""
		if answer.UploadMethod.DataInline {
			chosen = "dataInline"
		} else if p := answer.UploadMethod.PutURL; p != nil {
			chosen = "putUrl"
			r := request(t, "PUT", p.URL, bytes.NewReader([]byte(row.content)))
			for k, v := range p.Headers {
				r.Header.Set(k, v)
			}
			if status, text := do(t, r); status != 200 {
				t.Errorf("%s: PUT answers %d %s", name, status, text)
			}
		}
		if chosen != row.want {
			t.Errorf("%s: chose %q, want %q", name, chosen, row.want)
		}
		finish := strings.Replace(path, "/upload/", "/finish-upload/", 1)
		wrong := `{"projectId":"p","uploadId":"` + upload + `","hashes":{"sha256":"` + strings.Repeat("0", 64) + `"}}`
		if status, text := s.send(t, people, "POST", finish, []byte(wrong)); status != 400 {
			t.Errorf("%s: finished with a wrong hash, or without data: %d %s", name, status, text)
		}
		if chosen == "" {
			continue
		}
		for range 2 {
			if status, text := s.send(t, people, "POST", finish, []byte(`{"projectId":"p","uploadId":"`+upload+`"}`)); status != 200 {
				t.Errorf("%s: finishUpload answers %d %s", name, status, text)
			}
		}
		download := strings.Replace(path, "/upload/", "/download/", 1)
		r := request(t, "GET", s.url+download, nil)
		if err := people.SignRequest(r); err != nil {
			t.Fatal(err)
		}
		content, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(content.Body)
		content.Body.Close()
		if err != nil || string(got) != row.content {
			t.Errorf("%s: read %q, %v; want %q", name, got, err, row.content)
		}
		if status, text := s.send(t, people, "PUT", path, []byte(body)); status != 409 {
			t.Errorf("%s: a finished object can be uploaded again: %d %s", name, status, text)
		}
	}
}
