package payload

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/taskcluster/generic-worker/internal/document"
)

// content checks where the bytes of a mount come from. Neither they nor the URL
// are quoted: both can be secrets.
func (c *checker) content(pointer string, value any) {
	fields, _ := value.(map[string]any)
	if text, ok := fields["url"].(string); ok {
		if what, remedy := urlFault(text); what != "" {
			c.addUnlessReported(pointer+"/url", what, remedy)
		}
	}
	c.name(pointer+"/artifact", fields["artifact"])
	if text, ok := fields["base64"].(string); ok {
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			c.addUnlessReported(pointer+"/base64", base64Fault(err), "encode the bytes again, with = at the end where it belongs")
		}
	}
}

func base64Fault(err error) string {
	if at, ok := errors.AsType[base64.CorruptInputError](err); ok {
		return fmt.Sprintf("is not base64: it breaks off or is wrong at character %d", int64(at))
	}
	return "is not base64"
}

// urlFault returns what is wrong with the address of a download.
func urlFault(text string) (what, remedy string) {
	const ordinary = "write for example https://example.com/tools.tar.gz"
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL", ordinary
	case u.Scheme != "http" && u.Scheme != "https":
		return "has the scheme " + document.Quote(u.Scheme) + ", by which nothing is downloaded", "use https or http"
	case u.User != nil:
		return "has a user or a password in it, which everybody could read in the task", "remove it; mount an artifact, or let a command fetch what is secret"
	case u.Hostname() == "":
		return "has no host", ordinary
	case strings.ContainsFunc(text, func(r rune) bool { return control(r) || r == ' ' }):
		return "has a space or a control character in it", "write it as %20"
	}
	return "", ""
}

// cacheName reports a name for which no scope can be given.
func (c *checker) cacheName(pointer, name string) {
	const ordinary = "write a name such as example-checkouts"
	for _, r := range name {
		if r < ' ' || r > '~' {
			c.addUnlessReported(pointer, fmt.Sprintf("has %+q in the name of a cache, which no scope can have", r), ordinary)
			return
		}
	}
	switch {
	case name == "":
		c.addUnlessReported(pointer, "is a cache without a name", ordinary)
	case len(name) > maxCacheName:
		c.addUnlessReported(pointer, fmt.Sprintf("has more than %d characters in the name of a cache", maxCacheName), "write a shorter one")
	case strings.HasSuffix(name, "*"):
		c.addUnlessReported(pointer, "is the name of a cache that ends in *, so that its scope would be one for many caches", "remove the * from the name")
	}
}
