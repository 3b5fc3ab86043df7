package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"go.etcd.io/bbolt"
)

// TestI6TheScanFinds hides a secret in every form in every kind of place.
func TestI6TheScanFinds(t *testing.T) {
	t.Parallel()
	dir, value := t.TempDir(), rand.Text()+"/+ \"\n"+rand.Text()
	c := newCanary("canary", value)
	var found evidence
	r := newRecorder(t, nil, &found, func(string, string, string) {})
	seen := watchProcesses(t)
	places := map[string]func(n int, text string){
		"file %d": func(n int, text string) { write(t, filepath.Join(dir, fmt.Sprint(n)), "before"+text+"after") },
		"file in/%d.gz (gzip)": func(n int, text string) {
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			_, _ = io.WriteString(writer, "before"+text) // into memory
			_ = writer.Close()
			mkdir(t, filepath.Join(dir, "in"))
			write(t, filepath.Join(dir, "in", fmt.Sprint(n, ".gz")), packed.String())
		},
		"file %d.db":     func(n int, text string) { keep(t, filepath.Join(dir, fmt.Sprint(n, ".db")), text) },
		"file .hidden%d": func(n int, text string) { write(t, filepath.Join(dir, fmt.Sprint(".hidden", n)), text) },
		"request POST /body/%d": func(n int, text string) {
			post(t, r.URL+fmt.Sprint("/body/", n), "", "<"+text+">")
		},
		"request POST /query/%d": func(n int, text string) {
			post(t, r.URL+fmt.Sprint("/query/", n, "?q=", strings.NewReplacer(" ", "%20", "\n", "%0A").Replace(text)), "", "")
		},
		"authorization of request POST /header/%d": func(n int, text string) {
			post(t, r.URL+fmt.Sprint("/header/", n), strings.ReplaceAll(text, "\n", " "), "")
		},
	}
	var texts []string
	for _, text := range c.needles {
		texts = append(texts, text)
	}
	process(t, seen, nil, texts...)
	process(t, seen, []string{"HIDDEN=" + strings.Join(texts, "|")})
	process(t, seen, []string{"HIDDEN=" + strings.Join(texts, "|"), "TASK_ID=x"})
	var want []hit
	n := 0
	for place, hide := range places {
		for form, text := range c.needles {
			if strings.ContainsAny(text, "\n ") && strings.Contains(place, " POST /") && !strings.Contains(place, "body") {
				continue // no such request
			}
			n++
			hide(n, text)
			want = append(want, hit{c.name, form, fmt.Sprintf(place, n)})
		}
	}
	for form := range c.needles {
		for _, place := range []string{"command line", "environment", "environment of a task"} {
			want = append(want, hit{c.name, form, place})
		}
	}
	found.addFiles(t, dir)
	found.merge(&seen.evidence)
	hits := found.scan([]canary{c, newCanary("another", rand.Text())})
	for _, h := range want {
		if !slices.Contains(hits, h) {
			t.Errorf("not found: %+v", h)
		}
	}
	for _, h := range hits {
		if h.canary != "canary" {
			t.Errorf("found what is nowhere: %+v", h)
		}
	}
	if len(want) < 100 {
		t.Errorf("only %d were hidden", len(want))
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// keep puts a text into a database like that of the embedded queue.
func keep(t *testing.T, path, text string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("entries"))
		if err != nil {
			return err
		}
		return bucket.Put([]byte("key"), []byte(strings.Repeat("x", 5000)+text))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, address, authorization, body string) {
	t.Helper()
	if _, err := url.Parse(address); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
}

// process looks at all processes while one runs that is hiding something.
func process(t *testing.T, seen *processes, environ []string, args ...string) {
	t.Helper()
	hiding := exec.CommandContext(t.Context(), "cat", append([]string{"-", "--"}, args...)...)
	hiding.Env = environ
	input, err := hiding.StdinPipe()
	if err == nil {
		err = hiding.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	seen.look()
	_ = input.Close()
	_ = hiding.Wait() // it cannot read what is no file
}
