package chain

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPageHasTheRules compares the table of docs/verification.md with the rules.
func TestPageHasTheRules(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/verification.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(page), "\n## Rules\n")
	rules, _, _ = strings.Cut(rules, "\n## ")
	var documented, known [][2]string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| .* \\| (–|yes|in `gpg`) \\|$").FindAllStringSubmatch(rules, -1) {
		documented = append(documented, [2]string{row[1], row[2]})
	}
	for _, r := range ruleTable() {
		strict := "–"
		now, then := &verification{policy: &Policy{Profile: Ed25519}}, &verification{policy: &Policy{Profile: GPG}}
		switch {
		case r.strict == nil:
		case r.strict(now, &link{}):
			strict = "yes"
		case r.strict(then, &link{}):
			strict = "in `gpg`"
		}
		known = append(known, [2]string{r.id, strict})
	}
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("the table of rules differs (-rules +page):\n%s", diff)
	}
}
