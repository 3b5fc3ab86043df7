package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"generic-worker": main, "noted": noted, "loudly": loudly, "confess": confess, "wares": wares, "squeeze": squeeze, "lender": lender})
}

// noted is generic-worker in the background of a story: its first argument is
// a NAME, its standard error goes to NAME.log, its process ID to NAME.pid and
// its exit code to NAME.code.
func noted() {
	name := os.Args[1]
	log, err := os.Create(name + ".log")
	if err != nil {
		panic(err)
	}
	os.Stderr = log
	// As in a terminal, also where the tests were started by nohup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	if err := os.WriteFile(name+".pid", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		panic(err)
	}
	code := execute(context.Background(), os.Args[2:])
	if err := os.WriteFile(name+".code", []byte(strconv.Itoa(code)), 0o600); err != nil {
		panic(err)
	}
}

// TestScripts runs the stories of the whole binary. Beside testscript's own
// commands they have:
//
//	exits CODE PROGRAM ARGS...  runs a program that must exit with CODE
//	appears FILE [REGEXP]       waits until FILE is there and matches
//	variable NAME FILE REGEXP   sets NAME to the first group of REGEXP in FILE
//	expand FROM TO              copies a file with the values of variables in place of $NAME
func TestScripts(t *testing.T) {
	t.Parallel()
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // or each process takes a second more to end
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "appears": appears, "variable": variable, "expand": expand,
		},
	})
}

// TestPortsOfStories sees to it that stories, which run at the same time, do not
// listen on the same port.
func TestPortsOfStories(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("../../testdata/script/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatal(stories, err)
	}
	port := regexp.MustCompile(`127\.0\.0\.1:([1-9]\d+)`)
	taken := map[string]string{}
	for _, story := range stories {
		text, err := os.ReadFile(story)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range port.FindAllStringSubmatch(string(text), -1) {
			if other := taken[found[1]]; other != "" && other != story {
				t.Errorf("%s has port %s of %s", story, found[1], other)
			}
			taken[found[1]] = story
		}
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// patience bounds how long a story waits for a file.
const patience = 40 * time.Second

func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: appears FILE [REGEXP]")
	}
	pattern := ""
	if len(args) == 2 {
		pattern = args[1]
	}
	_, err := awaitMatch(ts.MkAbs(args[0]), pattern)
	ts.Check(err)
}

func variable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: variable NAME FILE REGEXP")
	}
	groups, err := awaitMatch(ts.MkAbs(args[1]), args[2])
	ts.Check(err)
	ts.Setenv(args[0], groups[1])
}

// awaitMatch waits until a file matches. Files of other processes tell nobody
// when they change, so they are looked at again and again.
func awaitMatch(path, pattern string) ([]string, error) {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for {
		text, err := os.ReadFile(path)
		if groups := re.FindStringSubmatch(string(text)); err == nil && groups != nil {
			return groups, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s does not match %q in time (%v); it holds:\n%s", path, pattern, err, text)
		}
		<-ticker.C
	}
}
