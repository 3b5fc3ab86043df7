// Package report is the result of verifying a chain of trust: the answer to
// every rule of every link, as a tree for people and as JSON.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Verdict is the answer to a rule, or to the whole request.
type Verdict string

// The answers. OK, Failed and Skipped are those of rules, Verified and Refused
// those of links and of the whole.
const (
	OK        Verdict = "ok"
	Failed    Verdict = "failed"
	Skipped   Verdict = "skipped" // a strict rule in compat; see Rule.Would
	Verified  Verdict = "verified"
	Refused   Verdict = "refused"
	Undecided Verdict = "undecided" // it could not be found out
)

// Report is the result, and its JSON form. Fields are only ever added.
type Report struct {
	TaskID   string `json:"taskId"`
	TaskType string `json:"taskType"`
	Profile  string `json:"profile"`
	Compat   bool   `json:"compat"`
	// Verdict is verified only if every rule of every link is ok, or skipped in
	// compat; refused if any failed; and undecided otherwise.
	Verdict Verdict `json:"verdict"`
	// Reason says why, of the whole, there is no answer; rules have their own.
	Reason string `json:"reason,omitempty"`
	// Links are the task itself and then the links in the order they were found.
	Links []Link `json:"links"`
}

// Link is what was found out about one task.
type Link struct {
	TaskID string `json:"taskId"`
	// Name is the path by which the task was first found, such as
	// signing:build:docker-image; its last part is the type.
	Name  string   `json:"name"`
	Types []string `json:"types"`          // all types it was found as, sorted; decision or action for parent
	From  string   `json:"from,omitempty"` // task id of the link it was found by
	RunID int      `json:"runId"`          // the run that counts; -1 if there is none

	Verdict        Verdict    `json:"verdict"`
	Implementation string     `json:"implementation,omitempty"` // of the worker
	Pool           string     `json:"pool,omitempty"`           // provisionerId/workerType
	SignedBy       string     `json:"signedBy,omitempty"`
	Repository     string     `json:"repository,omitempty"` // its path, if a VCSRule knows it
	Rules          []Rule     `json:"rules"`
	Artifacts      []Artifact `json:"artifacts,omitempty"`
}

// Rule is the answer to one question about a link.
type Rule struct {
	ID      string  `json:"id"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // empty if ok
	// Strict rules are those the Python verifier does not have. In compat they are
	// skipped, and Would is what the answer would have been.
	Strict bool    `json:"strict,omitempty"`
	Would  Verdict `json:"would,omitempty"`
}

// Artifact is one file that was wanted from a link.
type Artifact struct {
	Name     string `json:"name"`
	File     string `json:"file,omitempty"` // below the directory for artifacts, with slashes; only if verified
	Size     int64  `json:"size,omitempty"`
	Optional bool   `json:"optional,omitempty"`
	// State is verified; absent, for an optional one; refused; or undecided.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// The states of an artifact.
const (
	ArtifactVerified  = "verified"
	ArtifactAbsent    = "absent"
	ArtifactRefused   = "refused"
	ArtifactUndecided = "undecided"
)

// Sum returns the verdict that follows from the rules. A link without rules is
// undecided.
func (l *Link) Sum() Verdict {
	sum := Verified
	if len(l.Rules) == 0 {
		sum = Undecided
	}
	for _, r := range l.Rules {
		switch r.Verdict {
		case OK, Skipped:
		case Failed:
			return Refused
		default:
			sum = Undecided
		}
	}
	return sum
}

// Sum returns the verdict that follows from those of the links. A report
// without links, or with a Reason, is not verified.
func (r *Report) Sum() Verdict {
	sum := Verified
	if len(r.Links) == 0 || r.Reason != "" {
		sum = Undecided
	}
	for i := range r.Links {
		switch r.Links[i].Verdict {
		case Verified:
		case Refused:
			return Refused
		default:
			sum = Undecided
		}
	}
	return sum
}

var marks = map[Verdict]string{
	OK: "✓", Verified: "✓", Failed: "✗", Refused: "✗", Undecided: "?", Skipped: "-",
}

// WriteTree writes the report for people: each link below the one it was found
// by, with what is not ok. Text from tasks is quoted, so that it cannot act on
// a terminal.
func (r *Report) WriteTree(w io.Writer) error {
	var text strings.Builder
	below := map[string][]*Link{}
	for i := range r.Links {
		if l := &r.Links[i]; i > 0 { // the first is the task itself, below none
			below[l.From] = append(below[l.From], l)
		}
	}
	var write func(l *Link, indent string)
	write = func(l *Link, indent string) {
		l.write(&text, indent)
		next := below[l.TaskID]
		delete(below, l.TaskID) // a report from elsewhere may go round in circles
		for _, l := range next {
			write(l, indent+"  ")
		}
	}
	if len(r.Links) > 0 {
		write(&r.Links[0], "")
	}
	fmt.Fprintf(&text, "%s %s %s", marks[r.Verdict], r.TaskID, r.Verdict)
	if r.Reason != "" {
		fmt.Fprintf(&text, ": %s", printable(r.Reason))
	}
	if r.Compat {
		fmt.Fprintf(&text, " (compat: %d strict rules skipped, %d of them would not be ok)", r.skipped(OK, Failed), r.skipped(Failed))
	}
	text.WriteString("\n")
	_, err := io.WriteString(w, text.String())
	return err
}

// skipped counts the rules that were skipped and would have had one of the
// answers.
func (r *Report) skipped(would ...Verdict) int {
	n := 0
	for _, l := range r.Links {
		for _, rule := range l.Rules {
			if rule.Verdict == Skipped && slices.Contains(would, rule.Would) {
				n++
			}
		}
	}
	return n
}

func (l *Link) write(text *strings.Builder, indent string) {
	fmt.Fprintf(text, "%s%s %s %s", indent, marks[l.Verdict], printable(strings.Join(l.Types, ", ")), printable(l.TaskID))
	if l.SignedBy != "" {
		fmt.Fprintf(text, " signed by %s", printable(l.SignedBy))
	}
	text.WriteString("\n")
	for _, rule := range l.Rules {
		switch {
		case rule.Verdict == OK || rule.Would == OK:
		case rule.Verdict == Skipped:
			fmt.Fprintf(text, "%s  %s rule %s, %s: %s\n", indent, marks[Skipped], rule.ID, rule.Would, printable(rule.Reason))
		default:
			fmt.Fprintf(text, "%s  %s rule %s: %s\n", indent, marks[rule.Verdict], rule.ID, printable(rule.Reason))
		}
	}
	for _, a := range l.Artifacts {
		if a.State == ArtifactAbsent {
			fmt.Fprintf(text, "%s  - optional artifact %s: %s\n", indent, printable(a.Name), printable(a.Reason))
		}
	}
}

// printable returns text with what is no plain character escaped.
func printable(text string) string {
	quoted := fmt.Sprintf("%+q", text)
	if quoted[1:len(quoted)-1] == text {
		return text
	}
	quoted = fmt.Sprintf("%q", text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// String returns the tree.
func (r *Report) String() string {
	var text strings.Builder
	_ = r.WriteTree(&text) // a Builder takes everything
	return text.String()
}
