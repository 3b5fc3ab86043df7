package proxy

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	const refused = ""
	tests := []struct{ request, want string }{
		{"/api/queue/v1/task/abc", "https://tc.example.com/api/queue/v1/task/abc"},
		{"/queue/v1/task/abc", "https://tc.example.com/api/queue/v1/task/abc"},
		{"/queue/v1/abc?limit=1&x=%2F", "https://tc.example.com/api/queue/v1/abc?limit=1&x=%2F"},
		{"/queue/v1/", "https://tc.example.com/api/queue/v1/"},
		{"/index/v1/task/a.b.c", "https://tc.example.com/api/index/v1/task/a.b.c"},
		{"/queue/v1//a/%2F..%252f/../b", "https://tc.example.com/api/queue/v1//a/%2F..%252f/../b"},
		{"/queue/v1/a|b^c\"d", "https://tc.example.com/api/queue/v1/a|b^c\"d"},
		{"/queue/v1/a?", "https://tc.example.com/api/queue/v1/a?"},
		{"/queue/v1/a?b;c&d=%zz", "https://tc.example.com/api/queue/v1/a?b;c&d=%zz"},
		{"/api/queue/v1/http://evil/", "https://tc.example.com/api/queue/v1/http://evil/"},
		{"/hawk.example.org/a/b?c", "https://hawk.example.org/a/b?c"},
		{"/hawk.example.org", "https://hawk.example.org/"},
		{"/hawk.example.org//a", "https://hawk.example.org//a"},

		{"/", refused},
		{"//", refused},
		{"//x", refused},
		{"//evil.example.com/x", refused},
		{"/queue", refused},
		{"/queue/", refused},
		{"/queue/v1", refused},
		{"/api", refused},
		{"/api/", refused},
		{"/api/queue", refused},
		{"/api/queue/v1", refused},
		{"/api//v1/x", refused},
		{"/api/queue//x", refused},
		{"/queue//x", refused},
		{"/queue/../x", refused},
		{"/queue/%2e%2e/x", refused},
		{"/api/%2e%2e/v1/x", refused},
		{"/%2e%2e/v1/x", refused},
		{"/../v1/x", refused},
		{"/./v1/x", refused},
		{"/.../v1/x", refused},
		{"/queue@evil.example.com/v1/x", refused},
		{"/user:pass@evil.example.com/x", refused},
		{"/evil.example.com:8080/x", refused},
		{`/evil.example.com\@tc.example.com/x`, refused},
		{`/\evil/x/y`, refused},
		{"/localhost/x/y/z", "https://tc.example.com/api/localhost/x/y/z"}, // a service by that name
		{"/localhost.localdomain/x", refused},
		{"/a.localhost/x", refused},
		{"/127.0.0.1/x", refused},
		{"/127.1/x", refused},
		{"/0x7f.0.0.0x1/x", refused},
		{"/169.254.169.254/latest/meta-data", refused},
		{"/[::1]/x", refused},
		{"/[fe80::1%25eth0]/x", refused},
		{"/evil.example.com./x", refused},
		{"/.example.com/x", refused},
		{"/-a.example.com/x", refused},
		{"/exa%6dple.com/x", refused},
		{"/ex\xc3\xa4mple.com/x", refused},
		{"http://evil.example.com/x", refused},
		{"evil.example.com:443", refused},
		{"*", refused},
		{"", refused},
		{"/hawk.example.org//a|b", refused},
	}
	r, err := newRoot("https://tc.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		got, err := r.resolve(test.request)
		if test.want == refused {
			if why, ok := errors.AsType[*refusal](err); !ok || why.status < 400 || why.status > 404 {
				t.Errorf("%q leads to %s%s, %v", test.request, got.host, got.requestURI(), err)
			}
			continue
		}
		if is := got.scheme + "://" + got.host + got.requestURI(); err != nil || is != test.want {
			t.Errorf("%q leads to %s, %v", test.request, is, err)
		}
	}
}

// TestNothingGetsAroundTheServices names the deployment's own host.
func TestNothingGetsAroundTheServices(t *testing.T) {
	t.Parallel()
	r, err := newRoot("https://tc.example.com")
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.resolve("/TC.example.com/api/secrets/v1/secret/a")
	if err != nil || got.service != "secrets" || got.external || got.rest != "/v1/secret/a" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRootURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://127.0.0.1:8010":       "http://127.0.0.1:8010/api/queue/v1/ping",
		"http://[::1]:8010/":          "http://[::1]:8010/api/queue/v1/ping",
		"https://tc.example.com/base": "https://tc.example.com/base/api/queue/v1/ping",
		"ftp://tc.example.com":        "",
		"tc.example.com":              "",
		"https://me@tc.example.com":   "",
		"https://":                    "",
	} {
		r, err := newRoot(text)
		if want == "" {
			if err == nil {
				t.Errorf("%q is taken", text)
			}
			continue
		}
		got, err2 := r.resolve("/queue/v1/ping")
		if is := got.url().String(); err != nil || err2 != nil || is != want {
			t.Errorf("%q gives %s, %v, %v", text, is, err, err2)
		}
	}
}

// FuzzProxyTarget sees to it that a request leads to the root URL's host or,
// over https, to the host it names, and what is sent is what came.
func FuzzProxyTarget(f *testing.F) {
	for _, seed := range []string{
		"/api/queue/v1/ping", "/queue", "//x", "/api", "/queue/v1/a?b", "/a.b/c", "/a.b@c.d/e", "/127.0.0.1/x",
		"/%2e%2e/", "http://e/", "/a.b//c\\d", "/0x7f.1/", "/q/v/|", "/bewit", "/a.b?c/d", "/q/v/a#b",
	} {
		f.Add(seed)
	}
	r, err := newRoot("https://tc.example.com/base")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, request string) {
		_ = isBewit(request)
		_, _ = r.parse(request)
		got, err := r.resolve(request)
		if err != nil {
			if why, ok := errors.AsType[*refusal](err); !ok || why.message == "" {
				t.Fatalf("%q is refused with %v", request, err)
			}
			return
		}
		u := got.url()
		switch {
		case u.Scheme != "https" || u.User != nil || u.Port() != "":
			t.Fatalf("%q leads to %v", request, u)
		case !got.external && u.Host != "tc.example.com":
			t.Fatalf("%q leads to %v", request, u)
		case got.external && !strings.HasPrefix(request, "/"+u.Host):
			t.Fatalf("%q leads to %v", request, u)
		}
		if address, err := netip.ParseAddr(u.Hostname()); err == nil {
			t.Fatalf("%q leads to the address %v", request, address)
		}
		if u.RequestURI() != got.requestURI() || !strings.HasSuffix(got.requestURI(), sentOf(request, got)) {
			t.Fatalf("%q sends %q", request, u.RequestURI())
		}
		// What a reader of URLs makes of it has the same host.
		if again, err := url.Parse(u.Scheme + "://" + u.Host + u.RequestURI()); err == nil && again.Host != u.Host {
			t.Fatalf("%q reads as host %q", request, again.Host)
		}
	})
}

// sentOf is what must be sent as it came: all but the host.
func sentOf(request string, t target) string {
	if t.external {
		return strings.TrimPrefix(request, "/"+t.host)
	}
	return strings.TrimPrefix(request, "/api")
}
