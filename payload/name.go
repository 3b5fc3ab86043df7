package payload

import (
	"fmt"
	"net/url"
	pathpkg "path"
	"path/filepath"
	"strings"

	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/payload/paths"
)

const maxName = 1024 // characters

// CheckArtifactName returns an error that says why an artifact cannot have a
// name, or nil. Names are paths with slashes in printable ASCII, without
// anything that a file system or a URL would read as another path.
func CheckArtifactName(name string) error {
	what, remedy := nameFault(name)
	if what == "" {
		return nil
	}
	return fmt.Errorf("artifact name %s %s; %s", document.Quote(name), what, remedy)
}

// nameFault returns what is wrong with a name as the rest of a sentence about it.
func nameFault(name string) (what, remedy string) {
	const ordinary = "write a name such as public/build/out.zip"
	switch {
	case name == "":
		return "is empty", ordinary
	case len(name) > maxName:
		return fmt.Sprintf("has more than %d characters", maxName), "write a shorter one"
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			return fmt.Sprintf("has %+q in it", r), "the queue takes only printable ASCII: give it such a name"
		}
	}
	if strings.Contains(name, `\`) {
		return `has \ in it`, "use / between its parts"
	}
	if name[0] == '/' || len(name) > 1 && name[1] == ':' && letter(name[0]) {
		return "is an absolute path", ordinary
	}
	if what := segmentFault(name); what != "" {
		return what, ordinary
	}
	if decoded, err := url.PathUnescape(name); err == nil && decoded != name {
		if strings.Count(decoded, "/") != strings.Count(name, "/") || strings.ContainsFunc(decoded, control) ||
			strings.Contains(decoded, `\`) || segmentFault(decoded) != "" {
			return "becomes another path when the %-escapes in it are decoded", "write it without escapes"
		}
	}
	return "", ""
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func segmentFault(name string) string {
	for segment := range strings.SplitSeq(name, "/") {
		switch {
		case segment == "":
			return "has an empty part between slashes"
		case segment == "." || segment == "..":
			return fmt.Sprintf("has the part %q", segment)
		case strings.HasSuffix(segment, ".") || strings.HasSuffix(segment, " "):
			return "has a part that ends in a dot or a space"
		}
	}
	return ""
}

// effectiveName returns the name an artifact has: the given one, else the path
// with slashes. Of a directory, slashes at the end do not count; of a glob, only
// the directories before its first special character are taken.
func effectiveName(kind, path, given string) string {
	if kind == Glob {
		path = paths.Fixed(path)
	}
	name := given
	if name == "" && path != "" {
		name = pathpkg.Clean(filepath.ToSlash(path))
	}
	if kind == File {
		return name
	}
	if trimmed := strings.TrimRight(name, "/"); trimmed != "" {
		name = trimmed
	}
	if name == "." {
		return ""
	}
	return name
}
