package taskgraph

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
)

func parse(t testing.TB, text string) definition.Object {
	t.Helper()
	o, err := definition.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func TestCompare(t *testing.T) {
	t.Parallel()
	now, legacy := Rules{ParentID: "action", GroupID: "decision"}, Rules{Legacy: true, ParentID: "decision", GroupID: "decision"}
	for _, row := range []struct {
		name        string
		rules       Rules
		graph, task string
		found       []Difference
	}{
		{"equal", now, `{"a":[1,{"b":2}]}`, `{"a":[1.0,{"b":2}]}`, nil},
		{
			"what may differ", now,
			`{"created":1,"deadline":1,"expires":1,"schedulerId":1,"projectId":1,"taskQueueId":"p/w","priority":1,"provisionerId":"p","workerType":"w"}`,
			`{"created":2,"deadline":2,"expires":2,"schedulerId":2,"projectId":2,"taskQueueId":"p/w","priority":2,"provisionerId":"p","workerType":"w"}`, nil,
		},
		{"what may differ in the old days", legacy, `{"created":1,"deadline":1,"expires":1,"schedulerId":1}`, `{}`, nil},
		{"priority in the old days", legacy, `{"priority":"low"}`, `{"priority":"high"}`, []Difference{{Reason: "/priority is not as in the graph"}}},
		{"another value", now, `{"a":{"b":1}}`, `{"a":{"b":2}}`, []Difference{{Reason: "/a/b is not as in the graph"}}},
		{"missing", now, `{"a":null}`, `{}`, []Difference{{Reason: "/a is in the graph and not in the task"}}},
		{"more", now, `{}`, `{"scopes":["x"]}`, []Difference{{Reason: "/scopes is in the task and not in the graph", Extra: true}}},
		{"more, in another case", now, `{"scopes":[]}`, `{"scopes":[],"Scopes":["x"]}`, []Difference{{Reason: "/Scopes is in the task and not in the graph", Extra: true}}},
		{
			"what a queue adds", now, `{"provisionerId":"p","workerType":"w"}`,
			`{"provisionerId":"p","workerType":"w","taskQueueId":"p/w","taskGroupId":"decision","projectId":"none","requires":"all-completed","priority":"lowest","retries":5,"routes":[],"scopes":[],"tags":{},"extra":{}}`, nil,
		},
		{
			"what a queue does not add", legacy, `{}`,
			`{"taskGroupId":"other","requires":"all-resolved","priority":"highest","retries":6,"routes":["x"],"tags":{"a":"b"},"extra":{"a":1},"projectId":"p"}`,
			[]Difference{
				{"/extra is in the task and not in the graph", true},
				{"/priority is in the task and not in the graph", true},
				{"/projectId is in the task and not in the graph", true},
				{"/requires is in the task and not in the graph", true},
				{"/retries is in the task and not in the graph", true},
				{"/routes is in the task and not in the graph", true},
				{"/tags is in the task and not in the graph", true},
				{"/taskGroupId is in the task and not in the graph", true},
			},
		},
		{
			"another pool", now, `{"taskQueueId":"p/w"}`, `{"taskQueueId":"p/v","provisionerId":"p","workerType":"v"}`,
			[]Difference{{Reason: "the task is for pool p/v, in the graph it is for p/w", Extra: true}},
		},
		{"pool in two words", now, `{"taskQueueId":"p/w"}`, `{"taskQueueId":"p/w","provisionerId":"p","workerType":"w"}`, nil},
		{"pools that contradict each other", now, `{"provisionerId":"p","workerType":"w"}`, `{"taskQueueId":"p/v","provisionerId":"p","workerType":"w"}`, nil},
		{"fewer dependencies", now, `{"dependencies":["a","b"]}`, `{"dependencies":["b"]}`, nil},
		{"dependencies on the creators", now, `{"dependencies":["a"]}`, `{"dependencies":["a","action","decision"]}`, nil},
		{"foreign dependency", now, `{"dependencies":["a"]}`, `{"dependencies":["c"]}`, []Difference{{Reason: "/dependencies has c, which the graph does not have"}}},
		{"the decision task only", legacy, `{"dependencies":["a"]}`, `{"dependencies":["decision"]}`, nil},
		{"the decision task too", legacy, `{"dependencies":["a"]}`, `{"dependencies":["a","decision"]}`, []Difference{{Reason: "/dependencies has decision, which the graph does not have"}}},
		{"dependencies that are none", now, `{"dependencies":["a"]}`, `{"dependencies":"a"}`, []Difference{{Reason: "/dependencies of the task is no list of task ids"}}},
		{"dependencies in the graph that are none", now, `{"dependencies":{"a":1}}`, `{"dependencies":[]}`, []Difference{{Reason: "/dependencies in the graph is no list of task ids"}}},
		{"relative dates", now, `{"payload":[{"relative-datestamp":"1 day"}]}`, `{"created":"2026-01-31T12:00:00.000Z","payload":["2026-02-01T12:00:00.000Z"]}`, nil},
		{
			"relative date that is wrong", now, `{"payload":{"relative-datestamp":"1 day"}}`, `{"created":"2026-01-31T12:00:00.000Z","payload":"2026-02-01T12:00:00.001Z"}`,
			[]Difference{{Reason: "/payload is not as in the graph"}},
		},
		{
			"relative date that is none", now, `{"payload":{"relative-datestamp":"soon"}}`, `{"created":"2026-01-31T12:00:00.000Z","payload":"soon"}`,
			[]Difference{{Reason: `/payload: the relative date "soon" is not like "28 days"`}},
		},
		{"relative date and more", now, `{"payload":{"relative-datestamp":"1 day","x":1}}`, `{"created":"2026-01-31T12:00:00.000Z","payload":{"relative-datestamp":"1 day","x":1}}`, nil},
		{"no creation time", now, `{"payload":{"relative-datestamp":"1 day"}}`, `{"payload":"x"}`, []Difference{{Reason: `/payload: the task's creation time "" is none`}}},
		{"relative dates in the old days", legacy, `{"payload":{"relative-datestamp":"1 day"}}`, `{"payload":{"relative-datestamp":"1 day"}}`, nil},
		{"expiry of artifacts by name", legacy, `{"payload":{"artifacts":{"a":{"expires":"1","path":"p"}},"x":1}}`, `{"payload":{"artifacts":{"a":{"expires":"2","path":"p"}},"x":1}}`, nil},
		{"expiry of listed artifacts", legacy, `{"payload":{"artifacts":[{"expires":"1","path":"p"}]}}`, `{"payload":{"artifacts":[{"path":"p"}]}}`, nil},
		{"path of artifacts", legacy, `{"payload":{"artifacts":[{"path":"p"}]}}`, `{"payload":{"artifacts":[{"path":"q"}]}}`, []Difference{{Reason: "/payload/artifacts/0/path is not as in the graph"}}},
		{"artifacts that are none", legacy, `{"payload":{"artifacts":["a",5]}}`, `{"payload":{"artifacts":["a",5]}}`, nil},
		{"expiry of artifacts now", now, `{"payload":{"artifacts":{"a":{"expires":"1"}}}}`, `{"payload":{"artifacts":{"a":{"expires":"2"}}}}`, []Difference{{Reason: "/payload/artifacts/a/expires is not as in the graph"}}},
	} {
		got := row.rules.Compare(parse(t, row.graph), parse(t, row.task))
		if diff := cmp.Diff(row.found, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0 seconds": 0, "28 days": 28 * day, "1 year": 365 * day, "2 months": 60 * day, "1w": 7 * day, "3 h 5min": 3*time.Hour + 5*time.Minute, " 1 day ": day, "1 sec": time.Second,
	} {
		if got, err := span(text); got != want || err != nil {
			t.Errorf("span(%q) is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", " ", "day", "1", "-1 day", "1 fortnight", "1 day x", "1.5 days", "999999999 years", "100 years 100 years 100 years", "1 Day", "１ day"} {
		if got, err := span(text); err == nil {
			t.Errorf("span(%q) is %s", text, got)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	graph := `{
		"own":   {"task": {"payload": 1}},
		"other": {"task": {"payload": 2}},
		"odd":   {"task": 5}
	}`
	tasks := map[string]definition.Object{
		"own": parse(t, `{"payload":2}`), "retrigger": parse(t, `{"payload":2}`), "more": parse(t, `{"payload":2,"scopes":["x"]}`),
		"odd": parse(t, `{"payload":2}`), "none": parse(t, `{"payload":3}`),
	}
	unusable := `cannot read task odd of the graph: it has no object "task"`
	differs := []Difference{{Reason: "/payload is not as in the graph"}}
	for _, row := range []struct {
		name  string
		rules Rules
		want  map[string]Result
	}{
		{"now", Rules{ParentID: "p"}, map[string]Result{
			"own": {Differences: differs}, "odd": {Missing: unusable},
			"retrigger": {Missing: "the graph of p does not have the task"}, "more": {Missing: "the graph of p does not have the task"}, "none": {Missing: "the graph of p does not have the task"},
		}},
		{"in the old days", Rules{Legacy: true, ParentID: "p"}, map[string]Result{
			"own": {Differences: differs}, "odd": {Missing: unusable}, "retrigger": {},
			"more": {Differences: []Difference{{Reason: "the only entry of the graph that is otherwise equal lacks something that is in the task", Extra: true}}},
			"none": {Missing: "the graph of p has neither the task nor one that is equal to it"},
		}},
	} {
		got, err := row.rules.Match(iotest.OneByteReader(strings.NewReader(graph)), tasks)
		if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", row.name, err, diff)
		}
	}
}

func TestEachRefuses(t *testing.T) {
	t.Parallel()
	many := strings.Builder{}
	many.WriteString(`{"x":0`)
	for i := range maxEntries {
		fmt.Fprintf(&many, `,"%d":0`, i)
	}
	many.WriteString(`}`)
	for _, row := range []struct{ name, text, reason string }{
		{"nothing", "", "unexpected EOF"},
		{"a list", "[]", "it is no object"},
		{"cut off", `{"a":{}`, "unexpected EOF"},
		{"cut off in a task", `{"a":{`, "unexpected EOF"},
		{"a task twice", `{"a":1,"a":1}`, `it has task "a" twice`},
		{"a task twice, once escaped", `{"a":1,"\u0061":1}`, `it has task "a" twice`},
		{"more at the end", `{}{}`, "there is more after its end"},
		{"rubbish at the end", `{}x`, "there is more after its end"},
		{"a large task", `{"a":"` + strings.Repeat("x", 2*maxEntry) + `"}`, "one of its tasks has more than"},
		{"blanks without end", `{` + strings.Repeat(" ", 2*maxEntry) + `}`, "one of its tasks has more than"},
		{"many tasks", many.String(), "it has more than"},
		{"a long name", `{"` + strings.Repeat("x", 1<<20) + `":0}`, "a member's name has more than"},
	} {
		err := Each(strings.NewReader(row.text), func(Entry) error { return nil })
		if err == nil || !strings.Contains(err.Error(), row.reason) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	// Together the tasks may be larger than one of them.
	large := `{"a":"` + strings.Repeat("x", maxEntry*3/4) + `","b":"` + strings.Repeat("x", maxEntry*3/4) + `"}`
	if err := Each(strings.NewReader(large), func(Entry) error { return nil }); err != nil {
		t.Error(err)
	}
}

// FuzzMatch reads graphs that may be anything, for a task that is in them or
// not: what is equal to its entry must have been read from it.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(`{"t":{"task":{"payload":{"a":1},"dependencies":["d"]}}}`), false)
	f.Add([]byte(`{"x":{"task":{"payload":{"a":1},"created":{"relative-datestamp":"1 day"}}},"t":{}}`), true)
	f.Add([]byte(`{"t":{"task":{}},"t":1}`), true)
	f.Add([]byte(`{"t":{"task":{"payload":{"a":{"relative-datestamp":"1 year 2 h"}}}}}`), false)
	f.Fuzz(func(t *testing.T, graph []byte, legacy bool) {
		task := definition.Object{"payload": definition.Object{"a": "b"}, "created": "2026-01-31T12:00:00.000Z"}
		rules := Rules{Legacy: legacy, ParentID: "p", GroupID: "g"}
		results, err := rules.Match(strings.NewReader(string(graph)), map[string]definition.Object{"t": task})
		if err != nil {
			return
		}
		if r := results["t"]; r.Missing == "" && len(r.Differences) == 0 && !strings.Contains(string(graph), "payload") && !strings.Contains(string(graph), `\u`) {
			t.Errorf("the task was found in %s", graph)
		}
	})
}
