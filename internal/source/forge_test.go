package source_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/internal/source"
)

const revision = "5a1e5c0ffee05a1e5c0ffee05a1e5c0ffee05a1e"

var (
	orchard = template.Repository{Kind: template.Mercurial, Host: "hg.example.com", Path: "fruit/orchard"}
	apple   = template.Repository{Kind: template.GitHub, Host: "github.com", Path: "orchard/apple"}
)

// serve starts a server and returns its address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// answers makes a handler of answers by method and request URI.
func answers(texts map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, ok := texts[r.RequestURI]
		if !ok || r.Method != http.MethodGet {
			http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
			return
		}
		fmt.Fprint(w, text)
	}
}

var quick = source.Limits{FirstPause: time.Millisecond, MaxWait: 2 * time.Second, Attempt: 10 * time.Second, Answer: 1000}

func TestMercurial(t *testing.T) {
	t.Parallel()
	web := serve(t, answers(map[string]string{
		"/fruit/orchard/raw-file/" + revision + "/.taskcluster.yml":                    "version: 1",
		"/fruit/orchard/raw-file/" + revision + "/a%20b/%3Fc":                          "file",
		"/fruit/orchard/json-pushes?version=2&full=1&changeset=" + revision:            `{"pushes":{}}`,
		"/fruit/orchard/json-pushes?version=2&full=1&changeset=a%26full%3D0":           `"odd"`,
		"/fruit/orchard/json-pushes?version=2&full=1&changeset=" + revision[:39] + "f": `<html>`,
	}))
	f := &source.Forge{Servers: map[string]source.Server{"hg.example.com": {Kind: template.Mercurial, Web: web + "/"}}, Limits: quick}
	at := template.Commit{Repository: orchard, Revision: revision}
	for want, get := range map[string]func() ([]byte, error){
		"version: 1":    func() ([]byte, error) { return f.File(t.Context(), at, ".taskcluster.yml") },
		"file":          func() ([]byte, error) { return f.File(t.Context(), at, "a b/?c") },
		`{"pushes":{}}`: func() ([]byte, error) { return f.Pushes(t.Context(), at) },
		`"odd"`: func() ([]byte, error) {
			return f.Pushes(t.Context(), template.Commit{Repository: orchard, Revision: "a&full=0"})
		},
	} {
		if got, err := get(); err != nil || string(got) != want {
			t.Errorf("%s: %s, error %v", want, got, err)
		}
	}
	if _, err := f.File(t.Context(), at, "absent"); !errors.Is(err, chain.ErrNotFound) {
		t.Error(err)
	}
	at.Revision = revision[:39] + "f"
	if _, err := f.Pushes(t.Context(), at); err == nil || !strings.Contains(err.Error(), "is not JSON") {
		t.Error(err)
	}
	if _, err := f.Fact(t.Context(), template.Fact{Repository: orchard, Kind: template.AboutRepository}); err == nil || !strings.Contains(err.Error(), "no GitHub server") {
		t.Error(err)
	}
	at.Repository.Host = "hg.example.org"
	if _, err := f.File(t.Context(), at, "x"); err == nil || !strings.Contains(err.Error(), "hg.example.org: it is not among the hg servers") {
		t.Error(err)
	}
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	api := serve(t, answers(map[string]string{
		"/v3/repos/orchard/apple":                      `{"fork":false}`,
		"/v3/repos/orchard/apple/commits/" + revision:  `{"sha":"x"}`,
		"/v3/repos/orchard/apple/releases/tags/v1%2F2": `{"tag_name":"v1/2"}`,
		"/v3/repos/orchard/apple/pulls/12":             `{"number":12}`,
	}))
	raw := serve(t, answers(map[string]string{
		"/orchard/apple/" + revision + "/.taskcluster.yml": "version: 1",
	}))
	f := &source.Forge{Servers: map[string]source.Server{"github.com": {Kind: template.GitHub, API: api + "/v3", Raw: raw}}, Limits: quick}
	for _, row := range []struct {
		kind       template.FactKind
		name, want string
	}{
		{template.AboutRepository, "", `{"fork":false}`},
		{template.AboutCommit, revision, `{"sha":"x"}`},
		{template.AboutRelease, "v1/2", `{"tag_name":"v1/2"}`},
		{template.AboutPullRequest, "12", `{"number":12}`},
	} {
		got, err := f.Fact(t.Context(), template.Fact{Repository: apple, Kind: row.kind, Name: row.name})
		if err != nil || string(got) != row.want {
			t.Errorf("%s: %s, error %v", row.kind, got, err)
		}
	}
	at := template.Commit{Repository: apple, Revision: revision}
	if got, err := f.File(t.Context(), at, ".taskcluster.yml"); err != nil || string(got) != "version: 1" {
		t.Error(string(got), err)
	}
	if _, err := f.File(t.Context(), at, "absent"); !errors.Is(err, chain.ErrNotFound) || !strings.Contains(err.Error(), "cannot be read without a token") {
		t.Error(err)
	}
	if _, err := f.Fact(t.Context(), template.Fact{Repository: apple, Kind: "weather"}); err == nil || !strings.Contains(err.Error(), "GitHub's API has none") {
		t.Error(err)
	}
	if _, err := f.Pushes(t.Context(), at); err == nil || !strings.Contains(err.Error(), "only Mercurial") {
		t.Error(err)
	}
}

func TestPrivateRepository(t *testing.T) {
	t.Parallel()
	elsewhere := make(chan http.Header, 1)
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		elsewhere <- r.Header
		fmt.Fprint(w, "from elsewhere")
	})
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		switch r.RequestURI {
		case "/repos/orchard/apple/contents/.taskcluster.yml?ref=" + revision:
			fmt.Fprint(w, "private, as "+r.Header.Get("Accept"))
		case "/repos/orchard/apple":
			http.Redirect(w, r, other, http.StatusFound)
		}
	})
	f := &source.Forge{Servers: map[string]source.Server{
		"github.com": {Kind: template.GitHub, API: api, Raw: other, Token: "s3cret"},
	}, Limits: quick}
	got, err := f.File(t.Context(), template.Commit{Repository: apple, Revision: revision}, ".taskcluster.yml")
	if err != nil || string(got) != "private, as application/vnd.github.raw+json" {
		t.Error(string(got), err)
	}
	// The redirect leads to another server that may be asked, but without the token.
	if _, err := f.Fact(t.Context(), template.Fact{Repository: apple, Kind: template.AboutRepository}); err == nil {
		t.Error("what is not JSON was accepted")
	}
	if header := <-elsewhere; header.Get("Authorization") != "" {
		t.Error("the token went to another server")
	}
}

// TestAnswers shows what becomes of answers that are not simply good.
func TestAnswers(t *testing.T) {
	t.Parallel()
	sent := func(w http.ResponseWriter, code int, header ...string) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
	soon := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	for name, row := range map[string]struct {
		first  func(http.ResponseWriter, *http.Request)
		asked  int32  // requests
		reason string // "" if it turns out well
		absent bool
	}{
		"good":          {nil, 1, "", false},
		"gone":          {func(w http.ResponseWriter, _ *http.Request) { sent(w, 410) }, 1, "does not exist", true},
		"unprocessable": {func(w http.ResponseWriter, _ *http.Request) { sent(w, 422) }, 1, "does not exist", true},
		"broken":        {func(w http.ResponseWriter, _ *http.Request) { sent(w, 502) }, 2, "", false},
		"busy":          {func(w http.ResponseWriter, _ *http.Request) { sent(w, 503, "Retry-After", "1") }, 2, "", false},
		"too many":      {func(w http.ResponseWriter, _ *http.Request) { sent(w, 429, "Retry-After", "0") }, 2, "", false},
		"too many, a date": {func(w http.ResponseWriter, _ *http.Request) {
			sent(w, 429, "Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
		}, 2, "", false},
		"too many for too long": {func(w http.ResponseWriter, _ *http.Request) { sent(w, 429, "Retry-After", "3600") }, 1, "too many requests (status 429)", false},
		"limited": {func(w http.ResponseWriter, _ *http.Request) {
			sent(w, 403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", soon)
		}, 1, "too many requests (status 403)", false},
		"limit over": {func(w http.ResponseWriter, _ *http.Request) {
			sent(w, 403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1")
		}, 2, "", false},
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) { sent(w, 403) }, 1, "answers with status 403", false},
		"partial":   {func(w http.ResponseWriter, _ *http.Request) { sent(w, 206) }, 1, "answers with status 206", false},
		"too long":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 1001)) }, 1, "more than 1000 bytes", false},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			sent(w, 200, "Content-Length", "100")
			fmt.Fprint(w, "x")
		}, 2, "", false},
		"hung up":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2, "", false},
		"same server": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"/2", http.StatusFound) }, 2, "", false},
		"another server": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example.com/", http.StatusFound)
		}, 1, "redirects to https://evil.example.com, which is none", false},
		"allowed, not by https": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://cdn.example.com/", http.StatusFound)
		}, 1, "redirects to http://cdn.example.com, which is none", false},
		"a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, 1, "redirects to file://", false},
		"with a password": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://a:b@cdn.example.com/", http.StatusFound)
		}, 1, "which is none", false},
		"nowhere": {func(w http.ResponseWriter, _ *http.Request) { sent(w, http.StatusFound) }, 1, "leads nowhere", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			web := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 && row.first != nil {
					row.first(w, r)
					return
				}
				fmt.Fprint(w, "fine")
			})
			f := &source.Forge{
				Servers:   map[string]source.Server{"hg.example.com": {Kind: template.Mercurial, Web: web}},
				Redirects: []string{"cdn.example.com"}, Limits: quick,
			}
			got, err := f.File(t.Context(), template.Commit{Repository: orchard, Revision: revision}, "x")
			switch {
			case row.reason == "" && (err != nil || string(got) != "fine"):
				t.Errorf("%s, error %v", got, err)
			case row.reason != "" && (err == nil || !strings.Contains(err.Error(), row.reason)):
				t.Errorf("%s, error %v", got, err)
			case errors.Is(err, chain.ErrNotFound) != row.absent:
				t.Errorf("error %v", err)
			}
			if asked.Load() != row.asked {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	web := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if strings.HasSuffix(r.URL.Path, "loop") {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	})
	f := &source.Forge{Servers: map[string]source.Server{"hg.example.com": {Kind: template.Mercurial, Web: web}}, Limits: quick}
	at := template.Commit{Repository: orchard, Revision: revision}
	if _, err := f.File(t.Context(), at, "x"); err == nil || !strings.Contains(err.Error(), "(attempt 4)") || asked.Load() != 4 {
		t.Error(err, asked.Load())
	}
	if _, err := f.File(t.Context(), at, "loop"); err == nil || !strings.Contains(err.Error(), "more than 5 redirects") {
		t.Error(err)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	web := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	server := map[string]source.Server{"hg.example.com": {Kind: template.Mercurial, Web: web}}
	at := template.Commit{Repository: orchard, Revision: revision}
	f := &source.Forge{Servers: server, Limits: source.Limits{Attempt: 20 * time.Millisecond, Attempts: 2, FirstPause: time.Millisecond}}
	if _, err := f.File(t.Context(), at, "x"); err == nil || !strings.Contains(err.Error(), "no complete answer within 20ms") {
		t.Error(err)
	}
	why := errors.New("nobody wants to know any more")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, why)
	defer cancel()
	if _, err := (&source.Forge{Servers: server}).File(ctx, at, "x"); !errors.Is(err, why) {
		t.Error(err)
	}
}

// TestRemembers shows that a question is asked once, and again after a failure.
func TestRemembers(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	web := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		switch {
		case strings.HasSuffix(r.URL.Path, "absent"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, "later") && n == 1:
			w.WriteHeader(http.StatusForbidden)
		default:
			fmt.Fprint(w, n)
		}
	})
	forge := func() *source.Forge {
		asked.Store(0)
		return &source.Forge{Servers: map[string]source.Server{"hg.example.com": {Kind: template.Mercurial, Web: web}}, Limits: quick}
	}
	at := template.Commit{Repository: orchard, Revision: revision}
	f := forge()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := f.File(t.Context(), at, "x"); err != nil || string(got) != "1" {
				t.Error(string(got), err)
			}
		})
	}
	all.Wait()
	f = forge()
	for range 2 {
		if _, err := f.File(t.Context(), at, "absent"); !errors.Is(err, chain.ErrNotFound) || asked.Load() != 1 {
			t.Error(err, asked.Load())
		}
	}
	f = forge()
	if _, err := f.File(t.Context(), at, "later"); err == nil {
		t.Error("a refusal was accepted")
	}
	if got, err := f.File(t.Context(), at, "later"); err != nil || string(got) != "2" {
		t.Error(string(got), err)
	}
}

func TestLanded(t *testing.T) {
	t.Parallel()
	const url = "https://github.com/orchard/apple"
	branches := func(n int) string {
		names := make([]string, n)
		for i := range n {
			names[i] = fmt.Sprintf(`{"name":"b%d"}`, i)
		}
		return "[" + strings.Join(names, ",") + "]"
	}
	compare := func(branch string) string {
		return "/repos/orchard/apple/compare/" + branch + "..." + revision + "?per_page=1"
	}
	page := func(n int) string { return fmt.Sprintf("/repos/orchard/apple/branches?per_page=100&page=%d", n) }
	diverged, behind := `{"status":"diverged"}`, `{"status":"behind"}`
	for name, row := range map[string]struct {
		texts  map[string]string
		landed bool
		reason string
	}{
		"default branch":   {map[string]string{compare("main"): behind}, true, ""},
		"its tip":          {map[string]string{compare("main"): `{"status":"identical"}`}, true, ""},
		"other branch":     {map[string]string{compare("main"): diverged, page(1): branches(2), compare("b0"): diverged, compare("b1"): behind}, true, ""},
		"branch of a name": {map[string]string{compare("main"): diverged, page(1): `[{"name":"a/b"}]`, compare("a%2Fb"): behind}, true, ""},
		"ahead":            {map[string]string{compare("main"): `{"status":"ahead"}`, page(1): `[{"name":"main"}]`}, false, ""},
		"nowhere":          {map[string]string{page(1): `[{"name":"main"}]`}, false, ""},
		"too many":         {map[string]string{page(1): branches(100), page(2): branches(0)}, false, "it is on none of 60, and there are 100"},
		"far too many":     {map[string]string{page(1): branches(100), page(2): branches(100), page(3): branches(100), page(4): branches(100), page(5): branches(100), page(6): branches(100), page(7): branches(100), page(8): branches(100), page(9): branches(100), page(10): branches(100)}, false, "more than 1000"},
		"no list":          {map[string]string{}, false, "does not exist"},
		"no comparison":    {map[string]string{compare("main"): `{}`}, false, "cannot read the comparison"},
		"list of another":  {map[string]string{page(1): `{}`}, false, "cannot read the list of branches"},
		"no branch":        {map[string]string{"/repos/orchard/apple": `{}`}, false, "it has no default branch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.texts["/repos/orchard/apple"] == "" {
				row.texts["/repos/orchard/apple"] = `{"default_branch":"main"}`
			}
			limits := quick
			limits.Answer = 1 << 20
			f := &source.Forge{Servers: map[string]source.Server{"github.com": {Kind: template.GitHub, API: serve(t, answers(row.texts))}}, Limits: limits}
			landed, err := f.Landed(t.Context(), url, revision)
			if landed != row.landed || (err == nil) != (row.reason == "") || err != nil && !strings.Contains(err.Error(), row.reason) {
				t.Error(landed, err)
			}
		})
	}
	// GitHub compares with branches of forks, too, which say what their owners want.
	fork := serve(t, answers(map[string]string{
		"/repos/orchard/apple": `{"default_branch":"main"}`, "/repos/orchard/apple/compare/main...stranger:main?per_page=1": behind,
		"/repos/orchard/apple/compare/main...a...b?per_page=1": behind,
	}))
	for _, named := range []string{"stranger:main", "a...b", ""} {
		f := &source.Forge{Servers: map[string]source.Server{"github.com": {Kind: template.GitHub, API: fork}}, Limits: quick}
		if landed, err := f.Landed(t.Context(), url, named); landed || err != nil {
			t.Errorf("%q: %t, %v", named, landed, err)
		}
	}
	web := serve(t, answers(map[string]string{"/fruit/orchard/json-pushes?version=2&full=1&changeset=" + revision: "{}"}))
	f := &source.Forge{Servers: map[string]source.Server{"hg.example.com": {Kind: template.Mercurial, Web: web}}, Limits: quick}
	for tried, want := range map[string]bool{revision: true, "0" + revision[1:]: false} {
		if landed, err := f.Landed(t.Context(), "https://hg.example.com/fruit/orchard", tried); err != nil || landed != want {
			t.Error(tried, landed, err)
		}
	}
	if _, err := f.Landed(t.Context(), "https://example.com/x", revision); err == nil {
		t.Error("an unknown server was asked")
	}
}

func TestServersDefaults(t *testing.T) {
	t.Parallel()
	var asked []string
	f := &source.Forge{
		Servers: map[string]source.Server{
			"hg.example.com": {Kind: template.Mercurial}, "github.com": {Kind: template.GitHub}, "git.example.com": {Kind: template.GitHub},
		},
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.String())
			return nil, errors.New("no network")
		})},
		Limits: source.Limits{Attempts: 1},
	}
	enterprise := template.Repository{Kind: template.GitHub, Host: "git.example.com", Path: "a/b"}
	for _, at := range []template.Repository{orchard, apple, enterprise} {
		_, _ = f.File(t.Context(), template.Commit{Repository: at, Revision: "r"}, "f")
		_, _ = f.Fact(t.Context(), template.Fact{Repository: at, Kind: template.AboutRepository})
	}
	want := "https://hg.example.com/fruit/orchard/raw-file/r/f https://raw.githubusercontent.com/orchard/apple/r/f https://api.github.com/repos/orchard/apple " +
		"https://git.example.com/raw/a/b/r/f https://git.example.com/api/v3/repos/a/b"
	if got := strings.Join(asked, " "); got != want {
		t.Error(got)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
