package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	refused, open := fmt.Errorf("artifact x: %w", Refuse("hash %d", 5)), errors.New("connection reset")
	for _, row := range []struct {
		strict, compat bool
		err            error
		want           Rule
	}{
		{false, false, nil, Rule{ID: "r", Verdict: OK}},
		{false, true, refused, Rule{ID: "r", Verdict: Failed, Reason: "artifact x: hash 5"}},
		{true, false, refused, Rule{ID: "r", Verdict: Failed, Reason: "artifact x: hash 5", Strict: true}},
		{true, true, refused, Rule{ID: "r", Verdict: Skipped, Would: Failed, Reason: "artifact x: hash 5", Strict: true}},
		{true, true, nil, Rule{ID: "r", Verdict: Skipped, Would: OK, Strict: true}},
		{true, true, open, Rule{ID: "r", Verdict: Undecided, Reason: "connection reset", Strict: true}},
		{false, false, errors.Join(refused, open), Rule{ID: "r", Verdict: Failed, Reason: "artifact x: hash 5\nconnection reset"}},
	} {
		if diff := cmp.Diff(row.want, Answer("r", row.strict, row.compat, row.err)); diff != "" {
			t.Errorf("strict %t, compat %t, %v (-want +got):\n%s", row.strict, row.compat, row.err, diff)
		}
	}
}

// TestSum has every combination of up to three answers: only ok and skipped
// make something verified.
func TestSum(t *testing.T) {
	t.Parallel()
	all := []Verdict{OK, Failed, Skipped, Undecided, "", "other"}
	combinations := [][]Verdict{nil}
	for i := 0; i < len(combinations) && len(combinations[i]) < 3; i++ {
		for _, v := range all {
			combinations = append(combinations, append(slices.Clip(combinations[i]), v))
		}
	}
	for _, c := range combinations {
		want := Verified
		for _, v := range c {
			switch {
			case slices.Contains(c, Failed):
				want = Refused
			case v != OK && v != Skipped:
				want = Undecided
			}
		}
		if len(c) == 0 {
			want = Undecided
		}
		var l Link
		for _, v := range c {
			l.Rules = append(l.Rules, Rule{Verdict: v})
		}
		if got := l.Sum(); got != want {
			t.Errorf("the sum of %q is %s", c, got)
		}
	}
	for _, row := range []struct {
		links  []Verdict
		reason string
		want   Verdict
	}{
		{nil, "", Undecided},
		{[]Verdict{Verified}, "", Verified},
		{[]Verdict{Verified}, "canceled", Undecided},
		{[]Verdict{Verified, Undecided, Verified}, "", Undecided},
		{[]Verdict{Undecided, Refused}, "canceled", Refused},
		{[]Verdict{OK}, "", Undecided},
		{[]Verdict{""}, "", Undecided},
	} {
		r := Report{Reason: row.reason}
		for _, v := range row.links {
			r.Links = append(r.Links, Link{Verdict: v})
		}
		if got := r.Sum(); got != row.want {
			t.Errorf("the sum of %q, %q is %s", row.links, row.reason, got)
		}
	}
}

func example() *Report {
	return &Report{
		TaskID: "AAA", TaskType: "signing", Profile: "gpg", Compat: true, Verdict: Refused, Reason: "context canceled",
		Links: []Link{
			{TaskID: "AAA", Name: "signing", Types: []string{"signing"}, RunID: -1, Verdict: Verified, Rules: []Rule{{ID: "task-type", Verdict: OK}}},
			{
				TaskID: "BBB", Name: "signing:build", Types: []string{"build", "l10n"}, From: "AAA", RunID: 1, Verdict: Refused, Implementation: "docker-worker",
				Pool: "p/w", SignedBy: "host <a@b> 0123", Repository: "/trees/main",
				Rules: []Rule{
					{ID: "image-allowlist", Verdict: Failed, Reason: "image \x1b[2Jsha256:1 is not among \"those\""},
					{ID: "certificate-run", Verdict: Skipped, Would: Failed, Reason: "the certificate is that of run 0", Strict: true},
					{ID: "certificate-definition", Verdict: Skipped, Would: OK, Strict: true},
					{ID: "parent-graph", Verdict: Undecided, Reason: "connection reset"},
				},
				Artifacts: []Artifact{
					{Name: "public/x", File: "BBB/public/x", Size: 5, State: ArtifactVerified},
					{Name: "public/\u202ey", Optional: true, State: ArtifactAbsent, Reason: "there is none"},
				},
			},
			{TaskID: "CCC\n", Name: "signing:build:x", Types: []string{"x"}, From: "BBB", RunID: 0, Verdict: Undecided, Rules: []Rule{{ID: "r", Verdict: OK}}},
		},
	}
}

func TestTree(t *testing.T) {
	t.Parallel()
	want := `✓ signing AAA
  ✗ build, l10n BBB signed by host <a@b> 0123
    ✗ rule image-allowlist: image \x1b[2Jsha256:1 is not among "those"
    - rule certificate-run, failed: the certificate is that of run 0
    ? rule parent-graph: connection reset
    - optional artifact public/\u202ey: there is none
    ? x CCC\n
✗ AAA refused: context canceled (compat: 2 strict rules skipped, 1 of them would not be ok)
`
	if diff := cmp.Diff(want, example().String()); diff != "" {
		t.Errorf("the tree differs (-want +got):\n%s", diff)
	}
}

// TestJSON pins the names: programs read them.
func TestJSON(t *testing.T) {
	t.Parallel()
	want := `{
 "taskId": "AAA",
 "taskType": "signing",
 "profile": "gpg",
 "compat": true,
 "verdict": "refused",
 "reason": "context canceled",
 "links": [
  {
   "taskId": "AAA",
   "name": "signing",
   "types": [
    "signing"
   ],
   "runId": -1,
   "verdict": "verified",
   "rules": [
    {
     "id": "task-type",
     "verdict": "ok"
    }
   ]
  },
  {
   "taskId": "BBB",
   "name": "signing:build",
   "types": [
    "build",
    "l10n"
   ],
   "from": "AAA",
   "runId": 1,
   "verdict": "refused",
   "implementation": "docker-worker",
   "pool": "p/w",
   "signedBy": "host \u003ca@b\u003e 0123",
   "repository": "/trees/main",
   "rules": [
    {
     "id": "image-allowlist",
     "verdict": "failed",
     "reason": "image \u001b[2Jsha256:1 is not among \"those\""
    },
    {
     "id": "certificate-run",
     "verdict": "skipped",
     "reason": "the certificate is that of run 0",
     "strict": true,
     "would": "failed"
    },
    {
     "id": "certificate-definition",
     "verdict": "skipped",
     "strict": true,
     "would": "ok"
    },
    {
     "id": "parent-graph",
     "verdict": "undecided",
     "reason": "connection reset"
    }
   ],
   "artifacts": [
    {
     "name": "public/x",
     "file": "BBB/public/x",
     "size": 5,
     "state": "verified"
    },
    {
     "name": "public/` + "\u202e" + `y",
     "optional": true,
     "state": "absent",
     "reason": "there is none"
    }
   ]
  },
  {
   "taskId": "CCC\n",
   "name": "signing:build:x",
   "types": [
    "x"
   ],
   "from": "BBB",
   "runId": 0,
   "verdict": "undecided",
   "rules": [
    {
     "id": "r",
     "verdict": "ok"
    }
   ]
  }
 ]
}`
	encoded, err := json.MarshalIndent(example(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(encoded)); diff != "" {
		t.Errorf("the JSON differs (-want +got):\n%s", diff)
	}
}
