package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

const root = "../.."

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// cells returns the first two cells of the rows of a page that match.
func cells(page, first string) [][2]string {
	var rows [][2]string
	for _, found := range regexp.MustCompile(`(?m)^\| (`+first+`) \| (.*) \|$`).FindAllStringSubmatch(page, -1) {
		rows = append(rows, [2]string{found[1], found[2]})
	}
	return rows
}

// TestReadmeHasTheExitCodes compares the table of exit codes with explain.
func TestReadmeHasTheExitCodes(t *testing.T) {
	t.Parallel()
	var want [][2]string
	for _, e := range exit.Codes() {
		want = append(want, [2]string{fmt.Sprint(e.Code), e.Meaning})
	}
	if diff := cmp.Diff(want, cells(readPage(t, root+"/README.md"), `[0-9]+`)); diff != "" {
		t.Errorf("README.md (-explain +README):\n%s", diff)
	}
}

// TestReadmeHasTheCommands compares the table of commands with what --help shows.
func TestReadmeHasTheCommands(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(readPage(t, root+"/README.md"), "\n## Commands\n")
	section, _, _ = strings.Cut(section, "\n#")
	got, want := cells(section, "`[a-z].*?`"), helped(t)
	slices.SortFunc(got, byName)
	slices.SortFunc(want, byName)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md (---help +README):\n%s", diff)
	}
}

// TestDifferencesNameTheirTests looks for every test that docs/differences.md names.
func TestDifferencesNameTheirTests(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile(`(?m)^\|.*\|.*\|.*\| (.*`+"`"+`) \|$`).FindAllStringSubmatch(readPage(t, root+"/docs/differences.md"), -1)
	if len(rows) < 40 {
		t.Errorf("only %d rows name a test", len(rows))
	}
	for _, row := range rows {
		for named := range strings.SplitSeq(row[1], ", ") {
			folder, test, isTest := strings.Cut(strings.Trim(named, "`"), " ")
			if !isTest {
				readPage(t, root+"/"+folder)
				continue
			}
			if !hasTest(t, folder, test) {
				t.Errorf("%s has no %s", folder, test)
			}
		}
	}
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(readPage(t, file), "\nfunc "+name+"(")
	})
}

// TestLocalQueuePageHasTheCalls compares the table of calls with the routes in
// the code.
func TestLocalQueuePageHasTheCalls(t *testing.T) {
	t.Parallel()
	route := regexp.MustCompile(`\.route\([^\n]*, "([A-Za-z0-9]+)", \(\*call\)`)
	want := map[string]bool{"ping": true}
	files, err := filepath.Glob(root + "/internal/queue/local/*.go")
	if err != nil {
		t.Fatal(err)
	}
	parts, err := filepath.Glob(root + "/internal/queue/local/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, parts...) {
		for _, found := range route.FindAllStringSubmatch(readPage(t, file), -1) {
			want[found[1]] = true
		}
	}
	got := map[string]bool{}
	for _, row := range cells(readPage(t, root+"/docs/local-queue.md"), "queue|object|index|secrets|purge-cache|auth") {
		for call := range strings.SplitSeq(row[1], ", ") {
			got[strings.Trim(call, "`")] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/local-queue.md (-routes +page):\n%s", diff)
	}
}

func byName(a, b [2]string) int { return strings.Compare(a[0], b[0]) }

var (
	listed = regexp.MustCompile(`(?m)^  ([a-z0-9-]+) +(.*)$`)
	usage  = regexp.MustCompile(`(?m)^  generic-worker (.*?)( \[flags\])?$`)
)

// helped asks a command for its help, and those below it, and returns a row for
// each that has none below.
func helped(t *testing.T, path ...string) [][2]string {
	t.Helper()
	_, list, ok := strings.Cut(help(t, path), "Available Commands:\n")
	if !ok {
		t.Fatalf("generic-worker %v --help lists no commands", path)
	}
	list, _, _ = strings.Cut(list, "\n\n")
	var rows [][2]string
	for _, found := range listed.FindAllStringSubmatch(list, -1) {
		name, short := found[1], found[2]
		inner := append(path[:len(path):len(path)], name)
		switch name {
		case "help":
		case "task", "bundle", "keys", "cache":
			rows = append(rows, helped(t, inner...)...)
		case "completion": // has one command for each shell
			rows = append(rows, [2]string{"`completion`", short})
		default:
			line := usage.FindStringSubmatch(help(t, inner))
			if line == nil {
				t.Fatalf("generic-worker %v --help shows no usage", inner)
			}
			rows = append(rows, [2]string{"`" + line[1] + "`", short})
		}
	}
	return rows
}

func help(t *testing.T, path []string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "generic-worker", append(path, "--help")...)
	c.Env = append(os.Environ(), quickExit)
	text, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// quickExit keeps a program with the race detector from sleeping at its end.
const quickExit = "GORACE=atexit_sleep_ms=0"

// TestPagesAreRun runs the blocks of shell commands in the README and below docs,
// those of one page in one shell and in order, in a directory with the
// examples. A comment directly above a block changes that:
//
//	<!-- not run: REASON -->  for building the project and for what changes the machine
//	<!-- kept running -->     for a worker, which is there until the end of the page
func TestPagesAreRun(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "sh", "curl", "openssl", "gpg")
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, root+"/README.md") {
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			runPage(t, page)
		})
	}
}

// exampleAddress is where the examples serve their queue; each page gets a port of its own.
const exampleAddress = "127.0.0.1:8010"

func runPage(t *testing.T, page string) {
	t.Helper()
	script := shellOf(t, readPage(t, page))
	if script == "" {
		return
	}
	dir, listen := t.TempDir(), freeAddress(t)
	for name, text := range examples(t) {
		path := filepath.Join(dir, "examples", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, exampleAddress, listen)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(script, exampleAddress, listen))
	c.Dir = dir
	c.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+dir, quickExit)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s\nof the commands\n%s", err, out, script)
	}
}

var (
	block = regexp.MustCompile("(?ms)^(<!-- [^\n]* -->\n)?```sh\n(.*?)^```$")
	// unrun is what a page may show without running it.
	unrun = regexp.MustCompile(`^(git |cd |\./build\.sh|(sudo )?(systemctl|journalctl|loginctl|useradd|install|chmod) |#|$)`)
)

// shellOf returns the commands of a page.
func shellOf(t *testing.T, page string) string {
	t.Helper()
	var script strings.Builder
	for _, found := range block.FindAllStringSubmatch(page, -1) {
		mark, text := strings.TrimSpace(found[1]), strings.ReplaceAll(found[2], "go run ./cmd/generic-worker", "generic-worker")
		switch {
		case strings.HasPrefix(mark, "<!-- not run: "):
			for line := range strings.Lines(text) {
				if !unrun.MatchString(strings.TrimSuffix(line, "\n")) {
					t.Errorf("a block that is not run has %q in it, which could be", line)
				}
			}
		case mark == "<!-- kept running -->":
			fmt.Fprintf(&script, "%s 2>kept.log &\nkept=$!\ntrap 'kill -9 $kept' EXIT\n"+
				"until grep -q 'claiming tasks' kept.log; do kill -0 $kept; sleep 0.05; done\n", strings.TrimSpace(text))
		default:
			script.WriteString(text)
		}
	}
	return script.String()
}

func examples(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(root + "/examples/*")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, file := range files {
		texts[filepath.Base(file)] = readPage(t, file)
	}
	return texts
}

// freeAddress returns an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
