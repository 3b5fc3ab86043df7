package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const size = 300_000

func TestResume(t *testing.T) {
	t.Parallel()
	data := content(1, size)
	packed := zipped(t, bytes.Repeat(data[:1000], 300))
	old := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	kinds := []struct {
		name   string
		f      file
		want   []byte
		ranges bool // the second request asks for the rest
	}{
		{"strong tag", file{data: data, etag: `"a"`}, data, true},
		{"date", file{data: data, header: http.Header{"Last-Modified": {old}}}, data, true},
		{"weak tag", file{data: data, etag: `W/"a"`}, data, false},
		{"weak tag and date", file{data: data, etag: `W/"a"`, header: http.Header{"Last-Modified": {old}}}, data, true},
		{"date of now", file{data: data, header: http.Header{"Last-Modified": {time.Now().UTC().Format(http.TimeFormat)}}}, data, false},
		{"no ranges", file{data: data, etag: `"a"`, header: http.Header{"Accept-Ranges": {"none"}}}, data, false},
		{"nothing", file{data: data}, data, false},
		{"no length", file{data: data, etag: `"a"`, chunked: true}, data, true},
		{"gzip", file{data: packed, etag: `"a"`, header: http.Header{"Content-Encoding": {"gzip"}}}, bytes.Repeat(data[:1000], 300), true},
		{"gzip without tag", file{data: packed, header: http.Header{"Content-Encoding": {"gzip"}}}, bytes.Repeat(data[:1000], 300), false},
	}
	for _, k := range kinds {
		n := len(k.f.data)
		for _, cut := range []int{0, 1, n / 2, n - 1} {
			t.Run(fmt.Sprintf("%s at %d", k.name, cut), func(t *testing.T) {
				t.Parallel()
				s := serve(t, k.f.whole(cut), k.f.rest(-1))
				got := download(t, newClient(t, quick), Request{Locate: at(s.URL)})
				got.wants(t, k.want)
				if got.attempts != 2 {
					t.Errorf("Attempts() = %d, want 2", got.attempts)
				}
				wanted := ""
				if k.ranges && cut > 0 {
					wanted = fmt.Sprintf("bytes=%d-", cut)
				}
				if asked := s.seen()[1].Header.Get("Range"); asked != wanted {
					t.Errorf("the second request has Range %q, want %q", asked, wanted)
				}
			})
		}
	}
}

// A broken end of an answer without a length is found where nothing is left.
func TestResumeAtTheEnd(t *testing.T) {
	t.Parallel()
	f := file{data: content(1, size), etag: `"a"`, chunked: true}
	s := serve(t, f.whole(size), status(http.StatusRequestedRangeNotSatisfiable), f.rest(-1))
	got := download(t, newClient(t, quick), Request{Locate: at(s.URL)})
	got.wants(t, f.data)
	if asked := s.seen()[2].Header.Get("Range"); asked != "" {
		t.Errorf("after 416 the rest is asked for again: %s", asked)
	}
}

func TestResumeOften(t *testing.T) {
	t.Parallel()
	f := file{data: content(1, 20<<20), etag: `"a"`}
	cut := f.rest(5 << 18) // more than Limits.Attempts times, but each brings enough
	s := serve(t, cut)
	got := download(t, newClient(t, quick), Request{Locate: at(s.URL)})
	got.wants(t, f.data)
	if got.attempts < 15 {
		t.Errorf("Attempts() = %d", got.attempts)
	}
}

func TestNoProgress(t *testing.T) {
	t.Parallel()
	f := file{data: content(1, size), etag: `"a"`}
	s := serve(t, f.rest(10))
	got := download(t, newClient(t, quick), Request{Locate: at(s.URL)})
	failed := got.fails(t)
	if !failed.Infrastructure() || failed.Offset != 40 || len(s.seen()) != quick.Attempts {
		t.Errorf("ended after %d requests at %d: %v (infrastructure: %t)", len(s.seen()), failed.Offset, failed, failed.Infrastructure())
	}
}

// lying answers with a part that it describes as told.
func lying(data []byte, header ...string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(http.StatusPartialContent)
		send(w, data, -1)
	}
}

// Whatever a server says to a request for the rest, nothing else than the
// content comes out.
func TestWrongParts(t *testing.T) {
	t.Parallel()
	data, wrong := content(1, 100), content(2, 101)
	f := file{data: data, etag: `"a"`}
	for name, answer := range map[string]step{
		"no range":           lying(wrong[50:100]),
		"from the start":     lying(wrong[:100], "Content-Range", "bytes 0-99/100"),
		"later":              lying(wrong[60:100], "Content-Range", "bytes 60-99/100"),
		"another total":      lying(wrong[50:100], "Content-Range", "bytes 50-99/101"),
		"no total":           lying(wrong[50:100], "Content-Range", "bytes 50-99/*"),
		"backwards":          lying(wrong[50:100], "Content-Range", "bytes 50-49/100"),
		"beyond the end":     lying(wrong[50:100], "Content-Range", "bytes 50-149/100"),
		"garbage":            lying(wrong[50:100], "Content-Range", "lines 50-99/100"),
		"negative":           lying(wrong[50:100], "Content-Range", "bytes 50--99/100"),
		"longer than said":   lying(wrong[50:], "Content-Range", "bytes 50-99/100"),
		"another tag":        lying(wrong[50:100], "Content-Range", "bytes 50-99/100", "ETag", `"b"`),
		"another encoding":   lying(wrong[50:100], "Content-Range", "bytes 50-99/100", "Content-Encoding", "gzip"),
		"not satisfiable":    status(http.StatusRequestedRangeNotSatisfiable, "Content-Range", "bytes */100"),
		"the whole":          f.whole(-1),
		"the whole, chunked": file{data: data, etag: `"c"`, chunked: true}.whole(-1),
		"a part of the part": lying(data[50:70], "Content-Range", "bytes 50-69/100"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, f.whole(50), answer, f.rest(-1))
			download(t, newClient(t, quick), Request{Locate: at(s.URL)}).wants(t, data)
		})
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	before, after := content(1, size), content(2, size)
	for name, other := range map[string]file{
		"other bytes":       {data: after},
		"other bytes, tag":  {data: after, etag: `"a"`},
		"last byte":         {data: append(before[:size/2-1:size/2-1], append([]byte{before[size/2-1] ^ 1}, before[size/2:]...)...)},
		"shorter":           {data: before[:size-1]},
		"shorter than read": {data: before[:1000], chunked: true},
		"longer":            {data: append(before[:size:size], 'x')},
		"longer, chunked":   {data: append(before[:size:size], 'x'), chunked: true},
		"encoded":           {data: zipped(t, before), header: http.Header{"Content-Encoding": {"gzip"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, file{data: before, etag: `"old"`}.whole(size/2), other.whole(-1))
			failed := download(t, newClient(t, quick), Request{Locate: at(s.URL)}).fails(t)
			if !errors.Is(failed, ErrChanged) || !failed.Infrastructure() || failed.Offset < size/2 {
				t.Errorf("ended with %v at %d", failed, failed.Offset)
			}
		})
	}
}

func TestLocateAgain(t *testing.T) {
	t.Parallel()
	f := file{data: content(1, size), etag: `"a"`}
	for _, code := range []int{400, 401, 403} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			s := serve(t, f.whole(size/2), status(code), f.rest(-1))
			n := 0
			locate := func(context.Context) (string, error) {
				n++
				return fmt.Sprintf("%s/?signature=%d", s.URL, n), nil
			}
			download(t, newClient(t, quick), Request{Locate: locate}).wants(t, f.data)
			if got := s.seen()[2].URL.RawQuery; n != 3 || got != "signature=3" {
				t.Errorf("located %d times, asked with %q at last", n, got)
			}
		})
	}
}

func TestLocateFails(t *testing.T) {
	t.Parallel()
	f := file{data: content(1, size), etag: `"a"`}
	s := serve(t, f.whole(size/2))
	denied := errors.New("scopes are gone")
	n := 0
	got := download(t, newClient(t, quick), Request{Locate: func(context.Context) (string, error) {
		if n++; n > 1 {
			return "", denied
		}
		return s.URL, nil
	}})
	if !errors.Is(got.err, denied) || got.sum != "" {
		t.Errorf("ended with %v", got.err)
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	plain := bytes.Repeat([]byte("the same line again\n"), 50_000)
	packed := zipped(t, plain)
	encoded := http.Header{"Content-Encoding": {"gzip"}}
	damaged := bytes.Clone(packed)
	damaged[len(damaged)-6] ^= 1
	for name, c := range map[string]struct {
		f    file
		want []byte
		err  string
	}{
		"whole":              {file{data: packed, header: encoded}, plain, ""},
		"in upper case":      {file{data: packed, header: http.Header{"Content-Encoding": {"GZIP"}}}, plain, ""},
		"two members":        {file{data: append(packed[:len(packed):len(packed)], packed...), header: encoded}, append(plain[:len(plain):len(plain)], plain...), ""},
		"nothing":            {file{header: encoded}, nil, ""},
		"nothing, packed":    {file{data: zipped(t, nil), header: encoded}, nil, ""},
		"x-gzip":             {file{data: packed, header: http.Header{"Content-Encoding": {"x-gzip"}}}, packed, ""},
		"identity":           {file{data: packed, header: http.Header{"Content-Encoding": {"identity"}}}, packed, ""},
		"not encoded":        {file{data: packed, header: http.Header{"Content-Type": {"application/gzip"}}}, packed, ""},
		"truncated trailer":  {file{data: packed[:len(packed)-4], header: encoded}, nil, "ends early"},
		"truncated head":     {file{data: packed[:5], header: encoded}, nil, "ends early"},
		"one byte":           {file{data: packed[:1], header: encoded}, nil, "ends early"},
		"damaged checksum":   {file{data: damaged, header: encoded}, nil, "checksum"},
		"trailing garbage":   {file{data: append(packed[:len(packed):len(packed)], "garbage garbage"...), header: encoded}, nil, "header"},
		"no gzip":            {file{data: plain, header: encoded}, nil, "header"},
		"brotli":             {file{data: plain, header: http.Header{"Content-Encoding": {"br"}}}, nil, `"br"`},
		"gzip twice, listed": {file{data: plain, header: http.Header{"Content-Encoding": {"gzip, gzip"}}}, nil, `"gzip, gzip"`},
		"gzip twice":         {file{data: plain, header: http.Header{"Content-Encoding": {"gzip", "gzip"}}}, nil, `"gzip, gzip"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.f.whole(-1))
			got := download(t, newClient(t, quick), Request{Locate: at(s.URL)})
			if c.err == "" {
				got.wants(t, c.want)
				return
			}
			failed := got.fails(t)
			if failed.Infrastructure() || !strings.Contains(failed.Error(), c.err) || len(s.seen()) != 1 {
				t.Errorf("ended after %d requests with %v (infrastructure: %t)", len(s.seen()), failed, failed.Infrastructure())
			}
		})
	}
}

func TestMaxBytes(t *testing.T) {
	t.Parallel()
	data := content(1, 1000)
	bomb := bytes.Repeat(zipped(t, make([]byte, 1<<20)), 100)
	empty := bytes.Repeat(zipped(t, nil), 100_000)
	encoded := http.Header{"Content-Encoding": {"gzip"}}
	for name, c := range map[string]struct {
		f    file
		max  int64
		read int64 // before it is refused; -1 never
	}{
		"as long":           {file{data: data}, 1000, -1},
		"as long, chunked":  {file{data: data, chunked: true}, 1000, -1},
		"as long, gzip":     {file{data: zipped(t, data), header: encoded}, 1000, -1},
		"longer":            {file{data: data}, 999, 0},
		"longer, chunked":   {file{data: data, chunked: true}, 999, 999},
		"longer, gzip":      {file{data: zipped(t, data), header: encoded}, 999, 999},
		"bomb":              {file{data: bomb, header: encoded}, 10 << 20, 10 << 20},
		"gzip of nothing":   {file{data: empty, header: encoded, chunked: true}, 1000, 0},
		"gzip of much less": {file{data: empty, header: encoded}, 1000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.f.whole(-1))
			got := download(t, newClient(t, quick), Request{Locate: at(s.URL), MaxBytes: c.max})
			if c.read < 0 {
				if got.err != nil {
					t.Fatal(got.err)
				}
				return
			}
			failed := got.fails(t)
			if failed.Infrastructure() || failed.Offset != c.read || int64(len(got.data)) != c.read || !strings.Contains(failed.Error(), "limit of") {
				t.Errorf("%d bytes read, ended at %d with: %v", len(got.data), failed.Offset, failed)
			}
		})
	}
}

// A body never goes on after its end, and says the same again.
func TestReadAfterEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, file{data: []byte("text")}.whole(-1))
	b, err := newClient(t, quick).Open(t.Context(), Request{Locate: at(s.URL)})
	if err != nil {
		t.Fatal(err)
	}
	if b.SHA256() != "" {
		t.Error("there is a hash before the end")
	}
	if _, err := io.Copy(io.Discard, b); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read at the end: %d, %v", n, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil || b.SHA256() != sum([]byte("text")) {
		t.Errorf("closed again: %v, hash %s", err, b.SHA256())
	}
}

// The download helpers of Taskcluster's client, at version 44, write the body of
// a try that failed before that of the one that did not, and keep what is longer.
func TestV44Defect_BodyOfAFailedTry(t *testing.T) {
	t.Parallel()
	failing := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write(bytes.Repeat([]byte("bad gateway "), 1000))
	}
	f := file{data: []byte("short")}
	s := serve(t, failing, failing, f.whole(2), failing, f.whole(-1))
	limits := quick
	limits.Attempts = 10
	download(t, newClient(t, limits), Request{Locate: at(s.URL)}).wants(t, f.data)
}

// The download helpers of Taskcluster's client, at version 44, panic if every
// try fails before there is an answer.
func TestV44Defect_NoAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, status(200))
	s.Close()
	failed := download(t, newClient(t, quick), Request{Locate: at(s.URL)}).fails(t)
	if !failed.Infrastructure() || failed.Status != 0 {
		t.Errorf("ended with %v", failed)
	}
}
