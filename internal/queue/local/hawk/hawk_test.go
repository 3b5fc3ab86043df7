package hawk_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	hawkgo "github.com/tent/hawk-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
)

const root = "https://queue.example.com"

var someone = hawk.Client{ID: "some/one", AccessToken: "a-long-secret", Scopes: []string{"a:*", "b", "auth:create-client:temp/*"}}

func verifier() *hawk.Verifier {
	return hawk.NewVerifier(func(id string) (hawk.Client, bool) { return someone, id == someone.ID }, []string{"everyone"})
}

func permanent() *tcclient.Credentials {
	return &tcclient.Credentials{ClientID: someone.ID, AccessToken: someone.AccessToken}
}

// signed is a request as a server gets it, signed by Taskcluster's client.
func signed(t testing.TB, c *tcclient.Credentials, change func(*http.Request)) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, root+"/api/queue/v1/task%2Fx?limit=1", http.NoBody)
	if err := c.SignRequest(r); err != nil {
		t.Fatal(err)
	}
	r.RequestURI = r.URL.RequestURI()
	if change != nil {
		change(r)
	}
	return r
}

func temporary(t testing.TB, name string, lasts time.Duration, scopes ...string) *tcclient.Credentials {
	t.Helper()
	c, err := permanent().CreateNamedTemporaryCredentials(name, lasts, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recertified changes a certificate without signing it again.
func recertified(t testing.TB, c *tcclient.Credentials, change func(map[string]any)) *tcclient.Credentials {
	t.Helper()
	var cert map[string]any
	if err := json.Unmarshal([]byte(c.Certificate), &cert); err != nil {
		t.Fatal(err)
	}
	change(cert)
	text, err := json.Marshal(cert)
	if err != nil {
		t.Fatal(err)
	}
	changed := *c
	changed.Certificate = string(text)
	return &changed
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	valid := func() *tcclient.Credentials { return temporary(t, "temp/x", time.Hour, "a:1", "b") }
	for name, row := range map[string]struct {
		credentials *tcclient.Credentials
		change      func(*http.Request)
		scopes      []string // beside everyone's; nil: refused
		says        string   // part of the refusal
	}{
		"permanent":                   {credentials: permanent(), scopes: someone.Scopes},
		"named":                       {credentials: valid(), scopes: []string{"a:1", "b"}},
		"unnamed":                     {credentials: temporary(t, "", time.Hour, "b"), scopes: []string{"b"}},
		"restricted":                  {credentials: &tcclient.Credentials{ClientID: someone.ID, AccessToken: someone.AccessToken, AuthorizedScopes: []string{"a:2"}}, scopes: []string{"a:2"}},
		"no scopes":                   {credentials: &tcclient.Credentials{ClientID: someone.ID, AccessToken: someone.AccessToken, AuthorizedScopes: []string{}}, scopes: []string{}},
		"too restricted":              {credentials: &tcclient.Credentials{ClientID: someone.ID, AccessToken: someone.AccessToken, AuthorizedScopes: []string{"c"}}, says: "authorized scope c"},
		"unknown client":              {credentials: &tcclient.Credentials{ClientID: "nobody", AccessToken: "x"}, says: "no client"},
		"wrong token":                 {credentials: &tcclient.Credentials{ClientID: someone.ID, AccessToken: "x"}, says: "signature does not fit"},
		"other path":                  {credentials: permanent(), change: func(r *http.Request) { r.RequestURI += "0" }, says: "signature does not fit"},
		"decoded path":                {credentials: permanent(), change: func(r *http.Request) { r.RequestURI = "/api/queue/v1/task/x?limit=1" }, says: "signature does not fit"},
		"other method":                {credentials: permanent(), change: func(r *http.Request) { r.Method = "PUT" }, says: "signature does not fit"},
		"other host":                  {credentials: permanent(), change: func(r *http.Request) { r.Host = "other.example.com" }, says: "signature does not fit"},
		"other port":                  {credentials: permanent(), change: func(r *http.Request) { r.Host += ":80" }, says: "signature does not fit"},
		"beside a bewit":              {credentials: permanent(), change: func(r *http.Request) { r.URL.RawQuery = "bewit=x" }, says: "not both"},
		"other scheme":                {credentials: permanent(), change: func(r *http.Request) { r.Header.Set("Authorization", "Basic eA==") }, says: "scheme Hawk"},
		"garbage":                     {credentials: permanent(), change: func(r *http.Request) { r.Header.Set("Authorization", `Hawk id="x`) }, says: "malformed"},
		"id twice":                    {credentials: permanent(), change: func(r *http.Request) { r.Header.Set("Authorization", `Hawk id="x", id="y"`) }, says: "twice"},
		"nothing in it":               {credentials: permanent(), change: func(r *http.Request) { r.Header.Set("Authorization", `Hawk id="x"`) }, says: "lacks"},
		"more scopes than the issuer": {credentials: temporary(t, "temp/x", time.Hour, "c"), says: "does not have their scope c"},
		"a name not allowed":          {credentials: temporary(t, "else/x", time.Hour, "b"), says: "auth:create-client:else/x"},
		"another name than signed": {
			credentials: func() *tcclient.Credentials { c := valid(); c.ClientID = "temp/y"; return c }(), says: "signature is not valid",
		},
		"own issuer":      {credentials: recertified(t, valid(), func(c map[string]any) { c["issuer"] = "temp/x" }), says: "must differ"},
		"added scope":     {credentials: recertified(t, valid(), func(c map[string]any) { c["scopes"] = []string{"a:1", "a:2", "b"} }), says: "signature is not valid"},
		"later expiry":    {credentials: recertified(t, valid(), func(c map[string]any) { c["expiry"] = c["expiry"].(float64) + 1000 }), says: "signature is not valid"},
		"version 2":       {credentials: recertified(t, valid(), func(c map[string]any) { c["version"] = 2 }), says: "version"},
		"short seed":      {credentials: recertified(t, valid(), func(c map[string]any) { c["seed"] = "x" }), says: "seed"},
		"no scopes given": {credentials: recertified(t, valid(), func(c map[string]any) { delete(c, "scopes") }), says: "scopes"},
		"two stars":       {credentials: recertified(t, valid(), func(c map[string]any) { c["scopes"] = []string{"a:**"} }), says: "scopes"},
		"32 days":         {credentials: recertified(t, valid(), func(c map[string]any) { c["expiry"] = c["start"].(float64) + 32*24*3600*1000 }), says: "31 days"},
	} {
		caller, err := verifier().Authenticate(signed(t, row.credentials, row.change))
		if row.scopes == nil {
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s: %v, want a refusal that says %q", name, err, row.says)
			}
			continue
		}
		want := append(slices.Clone(row.scopes), "everyone")
		if diff := cmp.Diff(want, caller.Scopes); err != nil || caller.ClientID != row.credentials.ClientID || diff != "" {
			t.Errorf("%s: caller %q, %v, scopes differ (-want +got):\n%s", name, caller.ClientID, err, diff)
		}
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	caller, err := verifier().Authenticate(httptest.NewRequest(http.MethodGet, root, http.NoBody))
	if diff := cmp.Diff([]string{"everyone"}, caller.Scopes); err != nil || caller.ClientID != "" || diff != "" {
		t.Errorf("caller %q, %v, scopes differ:\n%s", caller.ClientID, err, diff)
	}
}

// TestTime lets a signature and a certificate grow old.
func TestTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lastMinute := func() *tcclient.Credentials { return temporary(t, "temp/x", time.Minute, "b") }
		for _, row := range []struct {
			credentials func() *tcclient.Credentials
			age         time.Duration
			says        string
		}{
			{permanent, 14 * time.Minute, ""},
			{permanent, 16 * time.Minute, "stale timestamp"},
			{lastMinute, 5 * time.Minute, ""},
			{lastMinute, 7 * time.Minute, "have expired"},
		} {
			r := signed(t, row.credentials(), nil)
			time.Sleep(row.age)
			_, err := verifier().Authenticate(r)
			if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
				t.Errorf("after %v: %v, want %q", row.age, err, row.says)
			}
		}
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, r := verifier(), signed(t, permanent(), nil)
		if _, err := v.Authenticate(r); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := v.Authenticate(r); err == nil || !strings.Contains(err.Error(), "already used") {
				t.Errorf("the same request again: %v, want a refusal", err)
			}
			time.Sleep(4 * time.Minute)
		}
	})
}

func TestPayload(t *testing.T) {
	t.Parallel()
	sign := func(hash string) hawk.Caller {
		r := httptest.NewRequest(http.MethodPost, root+"/x", http.NoBody)
		auth := hawkgo.NewRequestAuth(r, &hawkgo.Credentials{ID: someone.ID, Key: someone.AccessToken, Hash: sha256.New}, 0)
		h := auth.PayloadHash("application/json")
		h.Write([]byte(hash))
		auth.SetHash(h)
		r.Header.Set("Authorization", auth.RequestHeader())
		caller, err := verifier().Authenticate(r)
		if err != nil {
			t.Fatal(err)
		}
		return caller
	}
	caller := sign(`{"a":1}`)
	for _, row := range []struct {
		contentType, body string
		ok                bool
	}{
		{"application/json", `{"a":1}`, true},
		{"Application/JSON; charset=utf-8", `{"a":1}`, true},
		{"text/plain", `{"a":1}`, false},
		{"application/json", `{"a":2}`, false},
	} {
		if err := caller.CheckPayload(row.contentType, []byte(row.body)); (err == nil) != row.ok {
			t.Errorf("%s %s: %v, want ok=%v", row.contentType, row.body, err, row.ok)
		}
	}
}

func TestBewit(t *testing.T) {
	t.Parallel()
	bewit := func(c *tcclient.Credentials, query string, lasts time.Duration) *http.Request {
		ext := ""
		if c.Certificate != "" {
			ext = base64.StdEncoding.EncodeToString([]byte(`{"certificate":` + c.Certificate + `}`))
		}
		r := httptest.NewRequest(http.MethodGet, root+"/artifact%20x"+query, http.NoBody)
		auth, err := hawkgo.NewURLAuth(r.URL.String(), &hawkgo.Credentials{ID: c.ClientID, Key: c.AccessToken, Hash: sha256.New}, lasts)
		if err != nil {
			t.Fatal(err)
		}
		auth.Ext = ext
		separator := "?"
		if query != "" {
			separator = "&"
		}
		return httptest.NewRequest(http.MethodGet, r.URL.String()+separator+"bewit="+auth.Bewit(), http.NoBody)
	}
	put := bewit(permanent(), "", time.Hour)
	put.Method = http.MethodPut
	head := bewit(permanent(), "", time.Hour)
	head.Method = http.MethodHead
	moved := bewit(permanent(), "", time.Hour)
	moved.RequestURI = strings.Replace(moved.URL.RequestURI(), "artifact", "secret", 1)
	for name, row := range map[string]struct {
		r    *http.Request
		says string
	}{
		"plain":       {bewit(permanent(), "", time.Hour), ""},
		"with query":  {bewit(permanent(), "?limit=2", time.Hour), ""},
		"certificate": {bewit(temporary(t, "temp/x", time.Hour, "b"), "", time.Hour), ""},
		"HEAD":        {head, ""},
		"PUT":         {put, "GET and HEAD only"},
		"expired":     {bewit(permanent(), "", -time.Minute), "has expired"},
		"other path":  {moved, "signature does not fit"},
		"garbage":     {httptest.NewRequest(http.MethodGet, root+"/x?bewit=%21", http.NoBody), "base64url"},
		"parts":       {httptest.NewRequest(http.MethodGet, root+"/x?bewit=eHh4", http.NoBody), "parts"},
	} {
		_, err := verifier().Authenticate(row.r)
		if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q", name, err, row.says)
		}
	}
}

// TestIssue verifies credentials as Taskcluster's own client would use them.
func TestIssue(t *testing.T) {
	t.Parallel()
	c, err := hawk.Issue(someone, "temp/task", time.Now().Add(time.Minute), []string{"a:task"})
	if err != nil {
		t.Fatal(err)
	}
	creds := &tcclient.Credentials{ClientID: c.ClientID, AccessToken: c.AccessToken, Certificate: c.Certificate}
	cert, err := creds.Cert()
	if err != nil || cert.Issuer != someone.ID || cert.Version != 1 || len(cert.Seed) != 44 {
		t.Errorf("certificate %+v, %v", cert, err)
	}
	caller, err := verifier().Authenticate(signed(t, creds, nil))
	if err != nil || caller.ClientID != "temp/task" || !slices.Contains(caller.Scopes, "a:task") {
		t.Errorf("caller %+v, %v", caller, err)
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	e := hawk.AllOf(hawk.Scope("a:", "1"), hawk.AnyOf(hawk.Scope("b:2"), hawk.AllOf(hawk.Scope("c"), hawk.Scope("d"))))
	for _, row := range []struct {
		scopes  string
		missing string
	}{
		{"a:1 b:2", `{"AllOf":null}`},
		{"a:* c d", `{"AllOf":null}`},
		{"*", `{"AllOf":null}`},
		{"a:1 c", `{"AnyOf":["b:2",{"AllOf":["c","d"]}]}`},
		{"b:*", `"a:1"`},
		{"a* d", `{"AnyOf":["b:2",{"AllOf":["c","d"]}]}`},
		{"a:", `{"AllOf":["a:1",{"AnyOf":["b:2",{"AllOf":["c","d"]}]}]}`},
	} {
		set := strings.Fields(row.scopes)
		missing, err := json.Marshal(e.Missing(set))
		if err != nil || string(missing) != row.missing {
			t.Errorf("%s lacks %s, %v; want %s", row.scopes, missing, err, row.missing)
		}
		if ok := row.missing == `{"AllOf":null}`; e.SatisfiedBy(set) != ok {
			t.Errorf("%s satisfies it: %v, want %v", row.scopes, !ok, ok)
		}
	}
	if diff := cmp.Diff([]string{"a:*", "b"}, hawk.Normalize([]string{"b", "a:1", "a:*", "a:b*", "b"})); diff != "" {
		t.Errorf("normalized set differs:\n%s", diff)
	}
}

// FuzzAuthenticate looks for headers and queries that crash, or that are
// accepted without the secret.
func FuzzAuthenticate(f *testing.F) {
	f.Add(signed(f, permanent(), nil).Header.Get("Authorization"), "limit=1")
	f.Add(signed(f, temporary(f, "temp/x", time.Hour, "b"), nil).Header.Get("Authorization"), "")
	f.Add("", "bewit=c29tZS9vbmVcMVxYXA")
	f.Fuzz(func(t *testing.T, header, query string) {
		r := httptest.NewRequest(http.MethodGet, root, http.NoBody)
		r.Header.Set("Authorization", header)
		r.URL.RawQuery = query
		r.RequestURI = "/?" + query
		if caller, err := verifier().Authenticate(r); err == nil && caller.ClientID != "" {
			t.Errorf("accepted as %q", caller.ClientID)
		}
	})
}
