package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestX13OnlyLoopbackListeners looks at every socket on which a worker with an
// embedded queue, a live log and a proxy listens while a task runs: all are for
// this machine alone, and none shows what is inside the worker.
func TestX13OnlyLoopbackListeners(t *testing.T) {
	t.Parallel()
	asked, look := make(chan string), make(chan struct{})
	meeting := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("pid")
		<-look
	}))
	t.Cleanup(meeting.Close)
	dir := ownDir(t)
	write(t, dir+"/task.yml", "payload:\n  maxRunTime: 60\n  features: {taskclusterProxy: true}\n  command:\n"+
		"  - [sh, -c, 'curl --silent --fail \""+meeting.URL+"?pid=$PPID\"']\n")
	worker := exec.CommandContext(t.Context(), dir+"/generic-worker", "task", "run", "task.yml")
	worker.Dir = dir
	ended := make(chan error, 1)
	go func() {
		out, err := worker.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w:\n%s", err, out)
		}
		ended <- err
	}()
	select {
	case pid := <-asked:
		found := listening(t, pid)
		if len(found) < 3 {
			t.Errorf("the worker listens at %v, want at least a queue, a live log and a proxy", found)
		}
		for _, address := range found {
			visit(t, address)
		}
	case err := <-ended:
		t.Fatalf("the task did not start: %v", err)
	}
	close(look)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// visit wants a listener to be for this machine alone, and to have no page for
// whoever develops the worker.
func visit(t *testing.T, address *net.TCPAddr) {
	t.Helper()
	if !address.IP.IsLoopback() {
		t.Errorf("the worker listens at %v, which others can reach", address)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/metrics"} {
		response, err := http.Get("http://" + address.String() + path)
		if err != nil {
			continue // it hung up, which is as good
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Errorf("%v shows %s", address, path)
		}
	}
}

// listening returns the TCP addresses at which a process listens.
func listening(t *testing.T, pid string) []*net.TCPAddr {
	t.Helper()
	own := map[string]bool{}
	files, err := filepath.Glob("/proc/" + pid + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil {
			own[strings.Trim(strings.TrimPrefix(to, "socket:"), "[]")] = true
		}
	}
	var found []*net.TCPAddr
	for _, name := range []string{"tcp", "tcp6"} {
		table, err := os.Open("/proc/" + pid + "/net/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		for lines := bufio.NewScanner(table); lines.Scan(); {
			if field := strings.Fields(lines.Text()); len(field) > 9 && field[3] == "0A" && own[field[9]] {
				found = append(found, tcpAddress(t, field[1]))
			}
		}
	}
	return found
}

var word = regexp.MustCompile("[0-9A-F]{8}")

// tcpAddress reads an address as the kernel shows it: words of the machine's
// own byte order, a colon and the port.
func tcpAddress(t *testing.T, text string) *net.TCPAddr {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	a := new(net.TCPAddr)
	for _, w := range word.FindAllString(host, -1) {
		var b [4]byte
		if _, err := fmt.Sscanf(w, "%02X%02X%02X%02X", &b[3], &b[2], &b[1], &b[0]); err != nil {
			t.Fatal(err)
		}
		a.IP = append(a.IP, b[:]...)
	}
	if _, err := fmt.Sscanf(port, "%X", &a.Port); err != nil {
		t.Fatal(err)
	}
	return a
}
