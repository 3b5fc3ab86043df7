package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/klauspost/compress/gzip"
)

// canary is a secret that is looked for, by its forms.
type canary struct {
	name    string
	needles map[string]string // text by form
}

// newCanary makes a canary of a value. cores are parts of it that are as secret
// as the whole; without any, the value is one.
func newCanary(name, value string, cores ...string) canary {
	c := canary{name, map[string]string{}}
	for i, text := range append([]string{value}, cores...) {
		forms := formsOf(text)
		if (i > 0 || len(cores) == 0) && len(text) > beginning {
			forms["beginning"] = text[:beginning]
		}
		for form, needle := range forms {
			if i > 0 {
				form += " of part " + strconv.Itoa(i)
			}
			c.needles[form] = needle
		}
	}
	return c
}

func formsOf(text string) map[string]string {
	quoted, _ := json.Marshal(text) // a string has JSON
	forms := map[string]string{
		"raw":        text,
		"query":      url.QueryEscape(text),
		"path":       url.PathEscape(text),
		"hex":        hex.EncodeToString([]byte(text)),
		"upper hex":  strings.ToUpper(hex.EncodeToString([]byte(text))),
		"JSON":       string(quoted[1 : len(quoted)-1]),
		"Go":         strconv.QuoteToASCII(text)[1 : len(strconv.QuoteToASCII(text))-1],
		"other case": strings.Map(otherCase, text),
	}
	// What is before and after in base64 decides about a character at either end.
	for at, skip := range []int{0, 2, 3} {
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "URL base64": base64.RawURLEncoding} {
			encoded := encoding.EncodeToString([]byte(prefixBytes[:at] + text))
			forms[fmt.Sprintf("%s at %d", name, at)] = encoded[skip : (at+len(text))*8/6]
		}
	}
	return forms
}

func otherCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}

// evidence is what a run left, by where it was found.
type evidence struct {
	mu    sync.Mutex
	found map[[2]string]bool // place and content
}

func (e *evidence) add(place string, content []byte) {
	texts := map[string]string{place: string(content)}
	if bytes.HasPrefix(content, []byte("\x1f\x8b")) {
		if reader, err := gzip.NewReader(bytes.NewReader(content)); err == nil {
			plain, _ := io.ReadAll(reader) // a part of it is as good
			texts[place+" (gzip)"] = string(plain)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.found == nil {
		e.found = map[[2]string]bool{}
	}
	for where, text := range texts {
		if certifies(text) {
			where += " (certificate)"
		}
		e.found[[2]string{where, text}] = true
	}
}

// certifies tells what vouches for a run, and has the definition of its task.
func certifies(text string) bool {
	return strings.HasPrefix(text, "{") && (strings.Contains(text, `"chainOfTrustVersion"`) || strings.Contains(text, `"application/vnd.in-toto+json"`))
}

// merge adds what another has.
func (e *evidence) merge(other *evidence) {
	other.mu.Lock()
	defer other.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.Copy(e.found, other.found)
}

// addFiles adds all files below dir. Some may be going away.
func (e *evidence) addFiles(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var content []byte
			if content, err = os.ReadFile(path); err == nil {
				relative, _ := filepath.Rel(dir, path) // both are absolute
				e.add("file "+relative, content)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hit is a canary in a place.
type hit struct{ canary, form, place string }

// scan looks for canaries everywhere. A place has several contents, of which
// one hit is enough.
func (e *evidence) scan(canaries []canary) []hit {
	e.mu.Lock()
	defer e.mu.Unlock()
	hits := map[hit]bool{}
	for content := range e.found {
		for _, c := range canaries {
			for form, needle := range c.needles {
				if strings.Contains(content[1], needle) || strings.Contains(content[0], needle) {
					hits[hit{c.name, form, content[0]}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(hits), func(a, b hit) int {
		return strings.Compare(a.place+a.canary+a.form, b.place+b.canary+b.form)
	})
}

// permission says where a canary has to be.
type permission struct {
	place, canary string // regular expressions of whole names
	because       string
	needed        bool // it is always there, or the scan does not see it
}

// judge reports hits that are not permitted, and needed ones that are missing.
func judge(t *testing.T, hits []hit, permissions []permission) {
	t.Helper()
	used, shown := make([]bool, len(permissions)), map[[2]string]bool{}
	type patterns struct{ place, canary *regexp.Regexp }
	var where []patterns
	for _, p := range permissions {
		where = append(where, patterns{whole(p.place), whole(p.canary)})
	}
	for _, h := range hits {
		permitted := false
		for i, p := range where {
			if p.place.MatchString(h.place) && p.canary.MatchString(h.canary) {
				used[i], permitted = true, true
			}
		}
		if once := [2]string{h.canary, h.place}; !permitted && !shown[once] {
			shown[once] = true
			t.Errorf("%s is shown as %s in %s", h.canary, h.form, h.place)
		}
	}
	for i, p := range permissions {
		if p.needed && !used[i] {
			t.Errorf("nothing looked for %s in %s, where it has to be (%s)", p.canary, p.place, p.because)
		}
	}
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile("^(?:" + pattern + ")$") }

// processes are the command lines and environments of all processes of the
// machine, looked at again and again.
type processes struct {
	evidence
	stop chan struct{}
	done chan struct{}
}

func watchProcesses(t *testing.T) *processes {
	t.Helper()
	p := &processes{stop: make(chan struct{}), done: make(chan struct{})}
	p.look()
	go func() {
		defer close(p.done)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.look()
			case <-p.stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(p.stop)
		<-p.done
	})
	return p
}

// look looks once. Processes that end meanwhile, or are closed to us, show
// nothing.
func (p *processes) look() {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		command, _ := os.ReadFile(dir + "/cmdline")
		environ, _ := os.ReadFile(dir + "/environ")
		again, _ := os.ReadFile(dir + "/cmdline")
		p.add("command line", command)
		p.add("command line", again)
		// A child has the environment and the command line of its parent until
		// it begins with its own program.
		if bytes.Equal(command, again) {
			p.add(ownerOf(command, environ), environ)
		}
	}
}

func ownerOf(command, environ []byte) string {
	switch {
	case bytes.HasPrefix(command, []byte("loudly\x00")):
		return "environment of the worker"
	case bytes.Contains(environ, []byte("\x00TASK_ID=")):
		return "environment of a task"
	}
	return "environment"
}
