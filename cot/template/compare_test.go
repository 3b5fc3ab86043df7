package template_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/template"
)

func parse(t testing.TB, text string) definition.Object {
	t.Helper()
	o, err := definition.Parse([]byte(text))
	if err != nil {
		t.Fatal(text, err)
	}
	return o
}

func TestCompare(t *testing.T) {
	t.Parallel()
	const q = `"taskQueueId":"a/b"`
	differs := func(path, reason string) []chain.Difference { return []chain.Difference{{Path: path, Reason: reason}} }
	for _, row := range []struct {
		rebuilt, runtime string
		want             []chain.Difference
		ignored          []string
		compat           bool // equal to the Python verifier
	}{
		{`{` + q + `,"taskId":"x"}`, `{` + q + `}`, nil, nil, true},
		{`{` + q + `}`, `{` + q + `,"projectId":"none"}`, nil, nil, true},
		{`{"provisionerId":"a","workerType":"b"}`, `{` + q + `}`, nil, nil, true},
		{`{` + q + `,"a":1}`, `{` + q + `,"a":1.0}`, nil, nil, true},
		{`{` + q + `,"a":9007199254740993}`, `{` + q + `,"a":9007199254740992}`, differs("/a", "is 9007199254740992, the template says 9007199254740993"), nil, false},
		{`{` + q + `,"a":null,"b":{},"c":[]}`, `{` + q + `}`, nil, nil, true},
		{`{` + q + `}`, `{` + q + `,"a":null,"b":{},"c":[]}`, nil, []string{"/a", "/b", "/c"}, true},
		{`{` + q + `,"a":null}`, `{` + q + `,"a":"null"}`, nil, []string{"/a"}, true},
		{`{` + q + `,"a":"null"}`, `{` + q + `,"a":"null"}`, nil, nil, true},
		{`{` + q + `}`, `{` + q + `,"a":"null"}`, differs("/a", `is "null", the template has nothing there`), nil, true},
		{`{` + q + `,"a":"null"}`, `{` + q + `}`, differs("/a", `is not there, the template says "null"`), nil, true},
		{`{` + q + `,"a":[1]}`, `{` + q + `,"a":[1,null,{},"null"]}`, []chain.Difference{
			{Path: "/a/1", Reason: "is null, the template's list ends before"},
			{Path: "/a/2", Reason: "is {}, the template's list ends before"},
			{Path: "/a/3", Reason: `is "null", the template's list ends before`},
		}, nil, true},
		{`{` + q + `,"a":{"b":{}}}`, `{` + q + `}`, differs("/a", `is not there, the template says {"b":{}}`), nil, false},
		{`{` + q + `,"a/b~c":1}`, `{` + q + `}`, differs("/a~1b~0c", "is not there, the template says 1"), nil, false},
		{`{` + q + `,"a":false}`, `{` + q + `}`, differs("/a", "is not there, the template says false"), nil, false},
		{`{` + q + `,"a":0}`, `{` + q + `,"a":false}`, differs("/a", "is false, the template says 0"), nil, false},
		{`{` + q + `,"a":{"x":1}}`, `{` + q + `,"a":[1]}`, differs("/a", `is [1], the template says {"x":1}`), nil, false},
		{`{` + q + `,"a":[[1]]}`, `{` + q + `,"a":[[2]]}`, differs("/a/0/0", "is 2, the template says 1"), nil, false},
		{`{` + q + `,"A":1}`, `{` + q + `,"a":1}`, []chain.Difference{
			{Path: "/A", Reason: "is not there, the template says 1"},
			{Path: "/a", Reason: "is 1, the template has nothing there"},
		}, nil, false},
		{`{` + q + `,"a":"{\"b\":\"\\u003c\"}"}`, `{` + q + `,"a":"{\"b\":\"<\"}"}`, nil, nil, true},
		{`{` + q + `,"a":"{\"b\":\"\\\\u003c\"}"}`, `{` + q + `,"a":"{\"b\":\"\\\\<\"}"}`, differs("/a", `is "{\"b\":\"\\\\\u003c\"}", the template says "{\"b\":\"\\\\u003c\"}"`), nil, false},
		{`{` + q + `,"a":"sh \\u003c"}`, `{` + q + `,"a":"sh <"}`, differs("/a", `is "sh \u003c", the template says "sh \\u003c"`), nil, false},
		{`{` + q + `,"a":"` + strings.Repeat("é", 100) + `"}`, `{` + q + `,"a":1}`, differs("/a", `is 1, the template says "`+strings.Repeat("é", 39)+"…"), nil, false},
	} {
		got := template.Compare(parse(t, row.rebuilt), parse(t, row.runtime), false)
		if diff := cmp.Diff(template.Comparison{Differences: row.want, Ignored: row.ignored}, got); diff != "" {
			t.Errorf("%s, %s:\n%s", row.rebuilt, row.runtime, diff)
		}
		if got := template.Compare(parse(t, row.rebuilt), parse(t, row.runtime), true); (len(got.Differences) == 0) != row.compat {
			t.Errorf("compat: %s, %s: %v", row.rebuilt, row.runtime, got.Differences)
		}
	}
}

func TestManyDifferences(t *testing.T) {
	t.Parallel()
	list := strings.Repeat("1,", 1000) + "1"
	got := template.Compare(parse(t, `{"taskQueueId":"a/b"}`), parse(t, `{"taskQueueId":"a/b","x":{},"a":[`+list+`]}`), false)
	if len(got.Differences) != 1 {
		t.Error(got.Differences)
	}
	got = template.Compare(parse(t, `{"taskQueueId":"a/b","a":[1]}`), parse(t, `{"taskQueueId":"a/b","a":[`+list+`]}`), false)
	if len(got.Differences) != 20 {
		t.Error(got.Differences)
	}
}

// FuzzCompare checks that a definition is equal to itself, that compat is never
// the stricter one, and that the order in which two definitions are compared does not matter.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(`{"taskQueueId":"a/b","a":[1,null]}`), []byte(`{"provisionerId":"a","workerType":"b","a":["null"]}`))
	f.Add([]byte(`{"taskQueueId":"a/b","a":"{\"b\":\"\\u003c\"}"}`), []byte(`{"taskQueueId":"a/b","a":{"b":"<"}}`))
	f.Fuzz(func(t *testing.T, left, right []byte) {
		a, errA := definition.Parse(left)
		b, errB := definition.Parse(right)
		if errA != nil || errB != nil {
			return
		}
		strict, compat := template.Compare(a, b, false), template.Compare(a, b, true)
		if len(strict.Differences) == 0 && len(compat.Differences) > 0 {
			t.Errorf("strict accepts what compat does not: %v", compat.Differences)
		}
		for _, d := range strict.Differences {
			if len(d.Reason) > 400 {
				t.Errorf("a reason has %d bytes", len(d.Reason))
			}
		}
		if _, ok := a["taskQueueId"]; !ok {
			return
		}
		delete(a, "provisionerId")
		if delete(a, "workerType"); len(template.Compare(a, a, false).Differences) > 0 {
			t.Errorf("%s differs from itself", left)
		}
	})
}
