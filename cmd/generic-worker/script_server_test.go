package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// wares is a server of files for stories: its arguments are a directory and a
// NAME. Its address goes to NAME.url, a line for each request to NAME.requests.
// What it does wrong stands before the path of the file:
//
//	/status/CODE/PATH  answers with CODE
//	/once/CODE/PATH    answers the first request with CODE
//	/cut/BYTES/PATH    breaks the connection of the first request after so many bytes
//	/hang/BYTES/PATH   sends so many bytes and then nothing more
func wares() {
	dir, name := os.Args[1], os.Args[2]
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	requests, err := os.Create(name + ".requests")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(name+".url", []byte("http://"+listener.Addr().String()), 0o600); err != nil {
		panic(err)
	}
	server := &http.Server{Handler: &faulty{dir: dir, requests: requests, seen: map[string]bool{}}, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { server.Close() })
	_ = server.Serve(listener) // it ends when the story does
}

// faulty serves files and makes mistakes that are asked for.
type faulty struct {
	dir string

	mu       sync.Mutex
	requests *os.File
	seen     map[string]bool
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	first := !f.seen[r.URL.Path]
	f.seen[r.URL.Path] = true
	fmt.Fprintln(f.requests, r.Method, r.URL.Path, r.Header.Get("Range"))
	f.mu.Unlock()
	name := r.URL.Path
	parts := strings.SplitN(strings.TrimPrefix(name, "/"), "/", 3)
	number := 0
	if len(parts) == 3 {
		number, _ = strconv.Atoi(parts[1])
	}
	if number > 0 {
		name = "/" + parts[2]
	}
	content, err := os.ReadFile(filepath.Join(f.dir, filepath.FromSlash(path.Clean(name))))
	switch {
	case number > 0 && (parts[0] == "status" || parts[0] == "once" && first):
		w.WriteHeader(number)
		return
	case err != nil:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", "v"+strconv.Itoa(len(content))))
	if number > 0 && (parts[0] == "hang" || parts[0] == "cut" && first) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:min(number, len(content))])
		_ = http.NewResponseController(w).Flush()
		if parts[0] == "hang" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
}

// expand writes FROM to TO, with the story's variables in place of their names.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: expand FROM TO")
	}
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(os.Expand(string(text), func(name string) string {
		if value := ts.Getenv(name); value != "" {
			return value
		}
		return "$" + name
	})), 0o600))
}
