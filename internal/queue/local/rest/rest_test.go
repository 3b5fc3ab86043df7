package rest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

type document struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func (d *document) Problems() rest.Problems {
	var p rest.Problems
	p.Check(d.Name != "", "/name", "is missing")
	return p
}

func serve(t *testing.T, log io.Writer) *httptest.Server {
	t.Helper()
	noClients := hawk.NewVerifier(func(string) (hawk.Client, bool) { return hawk.Client{}, false }, nil)
	server := rest.NewServer(noClients, slog.New(slog.NewTextHandler(log, nil)))
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	server.Register(m, "test", []rest.Route{
		{Verb: "POST", Path: "/document", Name: "document", Answer: func(c *rest.Call) (any, error) {
			var d document
			return struct{}{}, c.Decode(&d)
		}},
		{Verb: "GET", Path: "/panic", Name: "panic", Answer: func(*rest.Call) (any, error) { panic("a hidden cause") }},
		{Verb: "GET", Path: "/fault", Name: "fault", Answer: func(*rest.Call) (any, error) { return nil, errors.New("a hidden cause") }},
		{Verb: "GET", Path: "/name/{name:.+}", Name: "name", Answer: func(c *rest.Call) (any, error) { return c.Params, nil }},
	})
	s := httptest.NewServer(server.Contain(m))
	t.Cleanup(s.Close)
	return s
}

func send(t *testing.T, verb, url, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), verb, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestDecode(t *testing.T) {
	t.Parallel()
	s := serve(t, io.Discard)
	for _, row := range []struct {
		contentType, body string
		status            int
		says              string
	}{
		{"application/json; charset=utf-8", `{"name":"n","count":1}`, 200, ""},
		{"text/plain", `{"name":"n"}`, 400, "Content-Type: application/json"},
		{"application/json", `{"name":`, 400, "MalformedPayload"},
		{"application/json", `[]`, 400, "must be a JSON object"},
		{"application/json", ``, 400, "must be a JSON object"},
		{"application/json", `{}`, 400, "/name is missing"},
		{"application/json", `{"name":"n","Count":1}`, 400, "/Count is not a known property"},
		{"application/json", `{"name":"n","count":"1"}`, 400, "/count must not be a string"},
		{"application/json", `{"name":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "InputTooLarge"},
	} {
		status, text := send(t, "POST", s.URL+"/api/test/v1/document", row.contentType, row.body)
		if status != row.status || !strings.Contains(text, row.says) {
			t.Errorf("%.60s: %d %.200s, want %d and %q", row.body, status, text, row.status, row.says)
		}
	}
}

// TestFaults checks that what goes wrong inside is told to the operator and
// kept from the caller.
func TestFaults(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := serve(t, &log)
	for _, path := range []string{"panic", "fault"} {
		log.Reset()
		status, text := send(t, "GET", s.URL+"/api/test/v1/"+path, "", "")
		var answer struct{ Code, Message string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 500 || answer.Code != "InternalServerError" {
			t.Errorf("%s: %d %s", path, status, text)
		}
		if strings.Contains(text, "hidden") || !strings.Contains(log.String(), "a hidden cause") {
			t.Errorf("%s: answered %s, logged %s", path, text, log.String())
		}
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	s := serve(t, io.Discard)
	for path, want := range map[string]string{
		"a/b":          `{"name":"a/b"}`,
		"a%2Fb%20+%25": `{"name":"a/b +%"}`,
		"a//../b":      `{"name":"a//../b"}`,
		"%C3%A4":       "InvalidRequestArguments",
	} {
		if _, text := send(t, "GET", s.URL+"/api/test/v1/name/"+path, "", ""); !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
}
