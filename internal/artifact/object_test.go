package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The object service takes data in the request, even if it is empty, before
// any other method that is proposed; so exactly one may be. Version 44 of the
// client always proposes empty data, which makes an empty object of the rest.
func TestObjectUploadProposesOneMethod(t *testing.T) {
	t.Parallel()
	const name = "public/a b+c%/é.txt"
	const object = "t%2Ftask%2F0%2Fpublic%2Fa%20b+c%25%2F%C3%A9.txt"
	for _, size := range []int{0, 1, inlineBelow - 1, inlineBelow, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			content := noise(size)
			d := newDeployment(t)
			p := d.publisher(t)
			p.Object = true
			rec, err := p.Publish(t.Context(), File{Name: name, ContentType: "x/y", Expires: expires, Content: file(t, content)})
			if err != nil {
				t.Fatal(err)
			}
			where, proposal := "obj", fmt.Sprintf(`{"putUrl":{"contentType":"x/y","contentLength":%d}}`, size)
			if size < inlineBelow {
				data, _ := json.Marshal(content)
				where, proposal = object, fmt.Sprintf(`{"dataInline":{"contentType":"x/y","objectData":%s}}`, data)
			}
			want := []string{
				`PUT upload {"projectId":"tc","uploadId":"upload-1","expires":"2030-01-02T03:04:05.006Z","proposedUploadMethods":` + proposal + `}`,
				fmt.Sprintf(`POST finish-upload {"projectId":"tc","uploadId":"upload-1","hashes":{"sha256":"%s"}}`, hexSum(content)),
			}
			if diff := cmp.Diff(want, d.objects[object]); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"upload-1"}, d.finished); diff != "" {
				t.Error(diff)
			}
			if got := d.stored[where]; !bytes.Equal(got.body, content) || got.header.Get("Content-Encoding") != "" {
				t.Errorf("stored %d bytes with %v", len(got.body), got.header)
			}
			if rec.StorageType != TypeObject || rec.SHA256 != hexSum(content) || rec.Stored != int64(size) || rec.Attempts != 1 {
				t.Errorf("recorded %+v", rec)
			}
		})
	}
}

func TestObjectUploadBeginsAnew(t *testing.T) {
	t.Parallel()
	content := noise(2 << 20)
	tests := map[string]struct {
		put         func(w http.ResponseWriter, r *http.Request) bool // handled
		asked, puts int
	}{
		"broken":  {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, 1, 2},
		"refused": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true }, 2, 2},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			d.put = func(w http.ResponseWriter, r *http.Request, n int) {
				if n > 1 || !test.put(w, r) {
					d.store(w, r)
				}
			}
			p := d.publisher(t)
			p.Object = true
			rec, err := p.Publish(t.Context(), File{Name: "a", Expires: expires, Content: file(t, content)})
			if err != nil || rec.Attempts != 2 || !bytes.Equal(d.stored["obj"].body, content) {
				t.Errorf("got %+v, %v", rec, err)
			}
			if asked, puts := d.counts(); asked != test.asked || puts != test.puts {
				t.Errorf("announced %d times, sent %d times", asked, puts)
			}
		})
	}
}

func TestObjectUploadWithoutAMethod(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.method = "none"
	p := d.publisher(t)
	p.Object = true
	_, err := p.Publish(t.Context(), File{Name: "a", Expires: expires, Content: file(t, noise(9000))})
	if _, ok := errors.AsType[*StorageError](err); !ok || !errors.Is(err, errNoMethod) {
		t.Errorf("got %v", err)
	}
	if len(d.finished) != 0 {
		t.Errorf("finished %v", d.finished)
	}
}

func TestObjectServiceAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		calls  int
		want   string
	}{
		"unavailable": {503, "{}", 5, "storage answered 503"},
		"malformed":   {400, `{"code":"InputError","message":"bad  name\nhere"}`, 1, "400 InputError: bad name here"},
		"garbage":     {200, "<html>", 5, "cannot understand the object service"},
		"redirect":    {302, "", 1, "storage answered 302"},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			calls := 0
			d.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			p := d.publisher(t)
			p.Object = true
			_, err := p.Publish(t.Context(), File{Name: "a", Expires: expires, Content: file(t, nil)})
			if err == nil || !strings.Contains(err.Error(), test.want) || calls != test.calls {
				t.Errorf("got %v after %d calls", err, calls)
			}
		})
	}
}
