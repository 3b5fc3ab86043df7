package payload

import (
	"encoding/json"
	"errors"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

// oddities are what a name may have in it and must not, or only looks as if.
var oddities = []string{
	"..", ".", "...", ". ", " ", "", "/", "//", `\`, `..\`, `\\?\C:\`, `\\server\share`, "C:", "c:/", "~", "$HOME", "%HOME%",
	"%2e%2e", "%2E.", ".%2e", "%2f", "%2F..%2f", "%5c", "%00", "%0a", "%252e%252e", "%", "%%", "%zz", "100%", "a%20b", "a+b", "a b",
	"\n", "\r\n", "\t", "\x00", "\x1b[2J", "\x7f", "\u0085", "caf\u00e9", "cafe\u0301", "\u202etxt", "\u200b", "\ufeff", "\u2044", "\uff0e\uff0e", "\uff0f",
	"\u65e5\u672c", "\U0001f600", "CON", "aux.txt", "a:b", "a?b", "a#b", "a&b=c", "a;b", "*", "a|b", "<a>", `"a"`, "'a'", "`a`", "{a}", "[a]", "^", "-rf", "--",
	"x.", "x ", ".hidden", "..x", "x..y",
}

// corpus puts each oddity to each place of a name.
func corpus() []string {
	var names []string
	for _, odd := range oddities {
		for _, around := range [][2]string{{"", ""}, {"public/", ""}, {"", "/x"}, {"public/", "/x"}, {"public/x", "y"}, {"x", ""}, {"public/" + strings.Repeat("long/", 20), "/z"}} {
			if name := around[0] + odd + around[1]; name != "" { // that is the default
				names = append(names, name)
			}
		}
	}
	for _, length := range []int{1023, 1024, 1025, 4096} {
		names = append(names, strings.Repeat("n", length), "public/"+strings.Repeat("n", length-7))
	}
	return names
}

// TestA4Names: whatever a task names an artifact, it is refused before anything
// runs, with the place and a remedy, or it is a name that the queue, a file
// system and a URL read in one way.
func TestA4Names(t *testing.T) {
	t.Parallel()
	names := corpus()
	if len(names) < 500 {
		t.Errorf("there are only %d names", len(names))
	}
	schema := platformFile(t, "posix")
	accepted := 0
	for _, name := range names {
		text, err := json.Marshal(map[string]any{
			"command": [][]string{{"true"}}, "maxRunTime": 1,
			"artifacts": []map[string]any{{"type": "file", "path": "x", "name": name}},
		})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := document.ParseJSON("", text)
		if err == nil {
			_, err = parse(doc, schema, false)
		}
		if problems, ok := errors.AsType[Problems](err); ok {
			for _, problem := range problems {
				if problem.Pointer != "/artifacts/0/name" || problem.Remedy == "" && len(name) <= maxName {
					t.Errorf("%.60q: %v", name, problem)
				}
			}
			if harmlessName(name) {
				t.Errorf("%q is refused: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		accepted++
		if !harmlessName(name) {
			t.Errorf("%q is accepted", name)
		}
		if CheckArtifactName(name) != nil {
			t.Errorf("%q is no name for a file in a directory", name)
		}
	}
	if accepted < 100 {
		t.Errorf("only %d names are accepted", accepted)
	}
}

// harmlessName says by other means than the parser what a good name is.
func harmlessName(name string) bool {
	if !rest.NameForm().MatchString(name) || len(name) > 1024 || strings.Contains(name, `\`) || windowsPath(name) {
		return false
	}
	decoded, err := url.PathUnescape(name)
	if err != nil {
		decoded = name // a percent sign that stands for itself
	}
	for _, reading := range []string{name, decoded} {
		if path.Clean(reading) != reading || reading == "." || !filepath.IsLocal(reading) || strings.ContainsFunc(reading, control) || strings.Contains(reading, `\`) {
			return false
		}
		for part := range strings.SplitSeq(reading, "/") {
			if strings.TrimRight(part, ". ") != part { // Windows takes these off
				return false
			}
		}
	}
	return strings.Count(name, "/") == strings.Count(decoded, "/")
}

func windowsPath(name string) bool {
	return len(name) > 1 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z'
}
