// Command noskip reads the output of "go test -json" on standard input, prints
// what "go test" alone would have printed, and fails if a test failed, was
// skipped, or if no test ran at all. Tests whose reason to be skipped contains
// the text given with -absent, the name of something that cannot be installed,
// are listed and allowed.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	absent := flag.String("absent", "", "allow skips whose reason contains this text")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *absent); err != nil {
		fmt.Fprintln(os.Stderr, "noskip:", err)
		os.Exit(1)
	}
}

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// report gathers what the events say.
type report struct {
	out     io.Writer
	absent  string                   // allowed in the reason of a skip; "" allows none
	output  map[string]*bytes.Buffer // by package and test; only of those still running
	ran     int
	skipped []string // package, test and reason
	allowed []string // the same, but for what is absent
	failed  []string
}

func run(in io.Reader, out io.Writer, absent string) error {
	r := report{out: out, absent: absent, output: map[string]*bytes.Buffer{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return r.verdict()
		}
		if err != nil {
			return fmt.Errorf("cannot read the test output: %w", err)
		}
	}
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		r.out.Write(line) // not from a test: what the go command says itself
		return
	}
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		io.WriteString(r.out, e.Output)
	case "output":
		if r.output[key] == nil {
			r.output[key] = new(bytes.Buffer)
		}
		r.output[key].WriteString(e.Output)
	case "pass", "skip", "fail":
		r.end(key, e)
		delete(r.output, key)
	}
}

// end prints what a test or a package wrote if that matters, and counts it.
func (r *report) end(key string, e event) {
	output := ""
	if b := r.output[key]; b != nil {
		output = b.String()
	}
	if e.Test == "" {
		if e.Action == "fail" {
			r.failed = append(r.failed, e.Package)
			r.unfinished(e.Package)
		}
		io.WriteString(r.out, lastLines(output, e.Action))
		return
	}
	r.ran++
	switch e.Action {
	case "fail":
		r.failed = append(r.failed, key)
		io.WriteString(r.out, output)
	case "skip":
		if why := reason(output); r.absent != "" && strings.Contains(why, r.absent) {
			r.allowed = append(r.allowed, key+": "+why)
		} else {
			r.skipped = append(r.skipped, key+": "+why)
		}
	}
}

// unfinished prints what the tests wrote that were running when their package
// came to an end by a panic or the time limit.
func (r *report) unfinished(pkg string) {
	for _, key := range slices.Sorted(maps.Keys(r.output)) {
		if strings.HasPrefix(key, pkg+" ") && key != pkg+" " {
			r.out.Write(r.output[key].Bytes())
			delete(r.output, key)
		}
	}
}

// lastLines returns all that a failed package printed, and of another one only
// the line with its time.
func lastLines(output, action string) string {
	if action == "fail" {
		return output
	}
	lines := strings.SplitAfter(strings.TrimRight(output, "\n"), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return ""
	}
	return last + "\n"
}

// reason returns what a skipped test gave as its reason.
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	if said == nil {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

func (r *report) verdict() error {
	fmt.Fprintf(r.out, "%d tests and subtests, %d skipped\n", r.ran, len(r.skipped)+len(r.allowed))
	for _, skip := range r.allowed {
		fmt.Fprintf(r.out, "allowed to be skipped: %s\n", skip)
	}
	var problems []string
	if len(r.failed) > 0 {
		slices.Sort(r.failed)
		problems = append(problems, "failed:\n\t"+strings.Join(r.failed, "\n\t"))
	}
	if len(r.skipped) > 0 {
		slices.Sort(r.skipped)
		problems = append(problems, "skipped, where no test may be; install what the reason names:\n\t"+strings.Join(r.skipped, "\n\t"))
	}
	if r.ran == 0 {
		problems = append(problems, "no test ran")
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, "\n"))
	}
	return nil
}
