package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
)

// loudly is `generic-worker run --config FILE` with everything in its log that
// any part of it has to tell.
func loudly() {
	log := newLogger(slog.LevelDebug)
	closeToTasks(log)
	cfg, err := loadConfig(os.Args[1])
	if err == nil {
		err = runWorker(context.Background(), cfg, os.Args[1], log)
	}
	coded, ok := errors.AsType[*exit.Error](err)
	switch {
	case ok:
		fmt.Fprintln(os.Stderr, coded)
		os.Exit(coded.Code)
	case err != nil:
		panic(err)
	}
}

// Ways in which confess ends.
const (
	completes = "completes"
	fails     = "fails"
	holds     = "holds"  // confesses once more when it is told to terminate
	halves    = "halves" // begins to print a secret, and is cut off
)

// prefixBytes are before a secret that is printed in base64.
const prefixBytes = "xx"

// styles are the forms in which confess shows secrets.
var styles = map[string]func(string) string{
	"raw":         func(s string) string { return s },
	"base64 at 0": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s + "z")) },
	"base64 at 1": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(prefixBytes[:1] + s + "z")) },
	"base64 at 2": func(s string) string { return base64.URLEncoding.EncodeToString([]byte(prefixBytes[:2] + s)) },
	"query":       url.QueryEscape,
	"path":        url.PathEscape,
	"hex":         func(s string) string { return hex.EncodeToString([]byte(s)) },
	"upper hex":   func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"JSON": func(s string) string {
		text, _ := json.Marshal(s) // a string has JSON
		return string(text)
	},
	"Go":       strconv.Quote,
	"in bytes": func(s string) string { return s },
}

// confess is what tasks run: `confess MODE PLAIN NAMES` shows, in every style,
// the variables of those names, a secret that it gets through its proxy, those
// that its holder has for it, and PLAIN, which is none. Then it tells the holder
// and waits for the answer.
func confess() {
	c := &confession{mode: os.Args[1], plain: os.Args[2], run: os.Getenv("TASK_ID") + "_" + os.Getenv("RUN_ID")}
	c.secrets = c.ask(http.MethodGet, os.Getenv("HOLDER")+"/secrets/"+c.run, "")
	for _, name := range os.Args[3:] {
		c.secrets[name] = os.Getenv(name)
	}
	c.viaProxy()
	c.check(os.WriteFile("note", []byte(c.plain), 0o600))
	c.show()
	told := make(chan os.Signal, 1)
	if c.mode == holds {
		signal.Notify(told, syscall.SIGTERM)
		go func() {
			<-told
			c.show()
			os.Exit(1)
		}()
	}
	if c.mode == halves {
		fmt.Print("\nhalf: ", c.secrets["CUT"][:beginning])
	}
	c.ask(http.MethodPost, os.Getenv("HOLDER")+"/told/"+c.run, "")
	if c.mode == fails {
		os.Exit(1)
	}
}

// beginning is how much of a secret must not be shown alone.
const beginning = 16

type confession struct {
	mode, plain, run string
	secrets          map[string]string
}

func (c *confession) check(err error) {
	if err != nil {
		fmt.Println("confess:", err)
		os.Exit(3)
	}
}

// ask makes a request whose answer is an object of strings, if it has a body.
func (c *confession) ask(method, address, body string) map[string]string {
	status, text := c.request(method, address, body)
	if status != http.StatusOK {
		c.check(fmt.Errorf("%s %s: %d %s", method, address, status, text))
	}
	found := map[string]string{}
	if len(text) > 0 {
		c.check(json.Unmarshal(text, &found))
	}
	return found
}

func (c *confession) request(method, address, body string) (int, []byte) {
	request, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	c.check(err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	c.check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	c.check(err)
	if strings.HasPrefix(address, os.Getenv("TASKCLUSTER_PROXY_URL")) {
		fmt.Printf("%s %s: %s %v\n%s\n", method, address, answer.Status, answer.Header, text)
	}
	return answer.StatusCode, text
}

// viaProxy writes one secret and reads another, and one that it may not have.
func (c *confession) viaProxy() {
	services := os.Getenv("TASKCLUSTER_PROXY_URL") + "/secrets/v1/secret/project/"
	body, err := json.Marshal(map[string]any{"secret": map[string]any{"is": c.secrets["written"]}, "expires": "2099-01-01T00:00:00.000Z"})
	c.check(err)
	delete(c.secrets, "written") // only what was read is masked
	if status, text := c.request(http.MethodPut, services+"write/"+c.run, string(body)); status != http.StatusOK {
		c.check(fmt.Errorf("cannot write a secret: %d %s", status, text))
	}
	c.request(http.MethodGet, services+"forbidden", "")
	_, text := c.request(http.MethodGet, services+"read", "")
	var answer struct {
		Secret map[string]string `json:"secret"`
	}
	c.check(json.Unmarshal(text, &answer))
	maps.Copy(c.secrets, answer.Secret)
}

func (c *confession) show() {
	for _, name := range slices.Sorted(maps.Keys(c.secrets)) {
		for style, form := range styles {
			c.print(name, style, form(c.secrets[name]))
		}
	}
	for style, form := range styles {
		c.print("plain", style, form(c.plain))
	}
	c.print("plain", "other case", strings.ToLower(c.plain))
}

func (c *confession) print(name, style, text string) {
	line := fmt.Appendf(nil, "\n%s as %s: %s\n", name, style, text)
	if style == "in bytes" {
		for b := range slices.Chunk(line, 1) {
			os.Stdout.Write(b)
		}
		return
	}
	_, err := bytes.NewReader(line).WriteTo(os.Stdout)
	c.check(err)
}
