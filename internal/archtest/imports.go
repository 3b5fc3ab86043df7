package archtest

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// row says what a folder may import of ours and what it must not import at all.
type row struct {
	folder  string   // path.Match pattern
	may     []string // patterns of ours; "**" is everything
	mustNot []string // patterns of other modules and of the standard library
}

// table has one row for every folder with Go files: what docs/design.md says
// in its table of folders. The first row that matches counts.
var table = []row{
	{folder: "cmd/generic-worker", may: []string{"**"}},
	{folder: "cmd/generic-worker/exit", may: []string{"internal/task"}},
	{folder: "cmd/generic-worker/*", may: []string{"**"}},
	{folder: "internal/bench", may: []string{"**"}},

	{folder: "internal/scriptworker", may: []string{"internal/worker", "features", "cot"}, mustNot: []string{"net/http"}},
	{
		// It fills in the Config structs where they are.
		folder: "internal/config",
		may: []string{
			"features/all", "features/*", "platform", "internal/worker", "internal/queue",
			"internal/document", "schemas", "internal/build", "internal/cache", "internal/mask", "internal/telemetry", "internal/unpack",
		},
	},
	{folder: "internal/web", may: []string{"internal/queue"}},

	{
		folder:  "internal/worker",
		may:     []string{"features", "internal/task", "internal/queue", "payload", "platform", "process", "process/usage", "internal/worker/journal", "internal/worker/pace"},
		mustNot: []string{"net/http"},
	},
	{folder: "internal/worker/journal", may: []string{"internal/mask", "internal/queue"}, mustNot: []string{"net/http"}},
	{folder: "internal/worker/pace", may: []string{"internal/queue"}, mustNot: []string{"net/http"}},
	{folder: "features/all", may: append([]string{"features", "features/*"}, featureMay...)},
	{folder: "features/*", may: append([]string{"features"}, featureMay...)},
	{folder: "features", may: featureMay},
	{folder: "internal/contractor", may: []string{"platform/sandbox", "process", "internal/artifact", "internal/document", "schemas"}},

	{folder: "internal/task/tasktest", may: []string{"internal/artifact", "internal/queue", "internal/queue/queuetest", "internal/task", "platform"}},
	{folder: "internal/task", may: []string{"payload", "platform", "process", "internal/queue", "internal/artifact", "internal/mask"}},
	{folder: "internal/cache", may: []string{"internal/cache/shelf", "internal/cache/tree"}, mustNot: []string{"net/http"}},
	{folder: "internal/cache/shelf", may: []string{"internal/cache/tree", "internal/filelock", "internal/trash"}, mustNot: []string{"net/http"}},
	{folder: "internal/cache/tree", may: []string{"internal/mountpoint"}, mustNot: []string{"net/http"}},
	{folder: "internal/cache/room", may: []string{"internal/cache/tree"}, mustNot: []string{"net/http"}},
	{folder: "internal/trash", may: []string{"internal/mountpoint"}},
	{folder: "internal/mountpoint"},
	{folder: "internal/filelock"},
	{folder: "internal/build"},
	{folder: "internal/footprint"},
	{folder: "internal/telemetry", may: []string{"internal/task", "internal/artifact"}},
	{folder: "internal/unpack", may: []string{"internal/unpack/*"}, mustNot: []string{"net/http"}},
	{folder: "internal/unpack/tree", mustNot: []string{"net/http"}},
	{folder: "internal/unpack/*", mustNot: []string{"os", "net/http"}},
	{folder: "internal/fetch", may: []string{"internal/backoff"}},
	{folder: "internal/backoff", mustNot: []string{"os"}},
	{folder: "internal/mask", mustNot: []string{"os", "net/http"}},
	{folder: "platform/sandbox", may: []string{"platform", "process"}},
	{folder: "platform/device"},
	{folder: "platform/enginetest", may: []string{"platform", "process"}},
	{folder: "platform", may: []string{"process", "internal/filelock", "internal/trash"}},
	{folder: "process", may: []string{"process/*"}},
	{folder: "process/*"},
	{folder: "payload/paths", may: []string{"internal/document"}, mustNot: []string{"os", "os/*", "net", "net/http"}},
	{folder: "payload", may: []string{"schemas", "internal/document", "payload/paths"}, mustNot: []string{"os", "os/*", "net", "net/http"}},
	{folder: "schemas"},

	{folder: "internal/artifact/*", may: []string{"internal/artifact"}},
	{folder: "internal/artifact", may: []string{"internal/backoff", "internal/mask", "internal/queue"}},
	{folder: "internal/queue/local", may: []string{"internal/mask", "internal/queue", "internal/queue/local/*"}},
	{
		folder: "internal/queue/local/services",
		may:    []string{"internal/queue", "internal/queue/local/disk", "internal/queue/local/hawk", "internal/queue/local/rest"},
	},
	{
		folder: "internal/queue/local/storage",
		may:    []string{"internal/queue", "internal/queue/local/blob", "internal/queue/local/hawk", "internal/queue/local/ledger", "internal/queue/local/rest"},
	},
	{
		folder: "internal/queue/local/rest",
		may:    []string{"internal/queue", "internal/queue/local/disk", "internal/queue/local/hawk"},
	},
	{
		folder: "internal/queue/local/ledger",
		may:    []string{"internal/queue", "internal/queue/local/disk", "internal/queue/local/taskdef"},
	},
	{folder: "internal/queue/local/taskdef", may: []string{"internal/queue", "internal/queue/local/hawk"}},
	{folder: "internal/queue/local/*", may: []string{"internal/queue"}},
	{folder: "internal/queue/inputs", may: []string{"internal/mask", "internal/queue"}},
	{folder: "internal/queue/queuetest", may: []string{"internal/queue"}},
	{folder: "internal/queue/skew"},
	{folder: "internal/queue", may: []string{"internal/backoff", "internal/mask", "internal/queue/skew"}},

	{folder: "internal/source", may: []string{"cot", "cot/chain", "cot/template", "internal/backoff", "internal/document", "internal/mask", "internal/queue"}},
	{folder: "internal/source/offline", may: []string{"cot/chain", "cot/template"}, mustNot: []string{"net", "net/http"}},
	{folder: "cot/policy", may: []string{"cot", "cot/chain", "cot/chain/trust", "cot/keyrepo", "cot/template", "gpg", "internal/document", "schemas"}, mustNot: []string{"net/http"}},
	{folder: "cot/template", may: []string{"cot", "cot/chain", "cot/chain/definition", "cot/template/render"}, mustNot: []string{"net/http"}},
	{folder: "cot/template/render", mustNot: []string{"net/http"}},
	{folder: "cot/keyrepo/gitobject", mustNot: []string{"os", "net/http"}},
	{folder: "cot/keyrepo", may: []string{"gpg", "cot/keyrepo/gitobject", "internal/filelock"}, mustNot: []string{"net/http"}},
	{folder: "cot/chain", may: append([]string{"cot"}, chainParts...), mustNot: []string{"net", "net/http"}},
	{folder: "cot/chain/chaintest", may: append([]string{"cot", "gpg", "cot/chain"}, chainParts...), mustNot: []string{"net/http"}},
	{folder: "cot/chain/trust", may: []string{"cot", "gpg", "cot/chain/definition", "cot/chain/report"}, mustNot: []string{"os", "net", "net/http"}},
	{folder: "cot/chain/taskgraph", may: []string{"cot/chain/definition"}, mustNot: []string{"os", "net", "net/http"}},
	{folder: "cot/chain/download", may: []string{"cot/chain/report"}, mustNot: []string{"net", "net/http"}},
	{folder: "cot/chain/definition", mustNot: []string{"os", "net", "net/http"}},
	{folder: "cot/chain/report", mustNot: []string{"os", "net", "net/http"}},
	{folder: "cot/chain/step", mustNot: []string{"os", "net", "net/http"}},
	{folder: "cot", may: []string{"gpg"}, mustNot: []string{"net/http"}},
	{folder: "gpg", may: []string{"gpg/wire"}, mustNot: []string{"os", "net/http"}},
	{folder: "gpg/wire", mustNot: []string{"os", "net/http"}},
	{folder: "proxy", may: []string{"internal/backoff", "internal/mask"}},
	{folder: "internal/taskfile", may: []string{"internal/document", "payload", "schemas"}, mustNot: []string{"net/http"}},
	{folder: "internal/terminal"},
	{folder: "internal/pagetest"},
	{folder: "internal/tooltest"},
	{folder: "internal/document", mustNot: []string{"os", "net/http"}},
	{folder: "internal/archtest"},
	{folder: "internal/archtest/*"},
}

var featureMay = []string{"internal/task", "internal/artifact", "internal/artifact/taskdir", "payload", "platform", "platform/device", "process", "process/*", "cot", "gpg", "proxy", "internal/cache", "internal/fetch", "internal/mask", "internal/unpack"}

// chainParts are what package chain is made of.
var chainParts = []string{
	"cot/chain/trust", "cot/chain/taskgraph", "cot/chain/download", "cot/chain/definition", "cot/chain/report", "cot/chain/step",
}

// forTests are modules and packages that only tests and test contracts use.
var forTests = []string{
	"testing", "testing/*", "net/http/httptest",
	"github.com/google/go-cmp/cmp", "github.com/google/go-cmp/cmp/*",
	"github.com/rogpeppe/go-internal/*", "go.uber.org/goleak", "pgregory.net/rapid",
}

// inOneFolder are modules of which one folder, with those in it, alone imports
// packages.
var inOneFolder = map[string]string{
	"github.com/spf13/cobra":              "cmd/generic-worker",
	"github.com/kardianos/service":        "platform",
	"github.com/go-git/go-git/v5":         "cot/keyrepo",
	"github.com/json-e/json-e/v4":         "cot/template",
	"github.com/mholt/archives":           "internal/unpack",
	"github.com/creack/pty":               "process/terminal",
	"github.com/shirou/gopsutil/v4":       "process/usage",
	"github.com/prometheus/client_golang": "internal/telemetry",
	"go.opentelemetry.io/otel":            "internal/telemetry",
}

// imports finds folders and imports that the table does not have. Test files
// may import anything of ours: a client is tested against the server above it.
func imports(t *Tree) []Finding {
	var found []Finding
	for dir, files := range t.byDir() {
		r, ok := find(dir)
		if !ok {
			found = append(found, Finding{
				Path:    dir,
				Message: "folder without a row in internal/archtest/imports.go and docs/design.md; put the code into a folder that has one, or add the row and say why",
			})
			continue
		}
		for _, f := range files {
			if !f.test {
				found = append(found, importsOf(t, f, r)...)
			}
		}
	}
	return found
}

// find returns the row of a folder.
func find(dir string) (row, bool) {
	i := slices.IndexFunc(table, func(r row) bool { return match(r.folder, dir) })
	if i < 0 {
		return row{}, false
	}
	return table[i], true
}

func importsOf(t *Tree, f *file, r row) []Finding {
	var found []Finding
	for _, spec := range f.ast.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser refuses such a file
		}
		if ours, ok := strings.CutPrefix(name, module+"/"); ok {
			if !slices.ContainsFunc(r.may, func(p string) bool { return match(p, ours) }) {
				found = append(found, t.at(spec.Pos(), "%s must not import %s; see the table in docs/design.md", f.dir(), ours))
			}
			continue
		}
		if slices.ContainsFunc(r.mustNot, func(p string) bool { return match(p, name) }) {
			found = append(found, t.at(spec.Pos(), "%s must not import %s; see the table in docs/design.md", f.dir(), name))
		}
		if home := homeOf(name); home != "" && !below(home, f.dir()) {
			found = append(found, t.at(spec.Pos(), "only %s imports %s", home, name))
		}
		if !isContract(f.dir()) && slices.ContainsFunc(forTests, func(p string) bool { return match(p, name) }) {
			found = append(found, t.at(spec.Pos(), "%s is for tests: import it in a _test.go file only", name))
		}
	}
	return found
}

// homeOf is the folder that alone imports a package, if there is one.
func homeOf(name string) string {
	for module, home := range inOneFolder {
		if below(module, name) {
			return home
		}
	}
	return ""
}

// below tells whether a path is another one or leads into it.
func below(dir, name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// match is path.Match with "**" for everything.
func match(pattern, name string) bool {
	if pattern == "**" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
