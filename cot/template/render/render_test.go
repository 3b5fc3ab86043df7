package render_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/cot/template/render"
)

func TestRender(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		job  render.Job
		want string
	}{
		"YAML": {
			render.Job{Template: []byte("a: [1, 2.5, yes, null, 'x', 0x10]\n3: {true: 1e3}")},
			`{"3":{"true":1000},"a":[1,2.5,"yes",null,"x",16]}`,
		},
		"JSON":       {render.Job{Template: []byte(`{"a":"<&>"}`)}, `{"a":"<&>"}`},
		"alias":      {render.Job{Template: []byte("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}")}, `{"a":{"b":1},"c":{"b":1},"d":{"b":1,"e":2}}`},
		"expression": {render.Job{Template: []byte("{$eval: 'a.b + c[0]'}"), Context: context_("a", `{"b":1}`), Texts: map[string][]byte{"c": []byte("- 2")}}, `3`},
		"let": {
			render.Job{Template: []byte("x: '${y}'"), Let: json.RawMessage(`{"y":{"$eval":"z"}}`), Context: context_("z", `"deep"`)},
			`{"x":"deep"}`,
		},
		"slug ids":    {render.Job{Template: []byte("['${as_slugid(\"decision\")}', '${as_slugid(\"x\")}']"), TaskID: "own", DecisionID: "parent"}, `["parent","own"]`},
		"now":         {render.Job{Template: []byte("$fromNow: 1 hour"), Context: context_("now", `"2031-01-01T00:00:00.000Z"`)}, `"2031-01-01T01:00:00.000Z"`},
		"nothing":     {render.Job{Template: []byte("$if: 'false'\nthen: 1")}, `null`},
		"just enough": {render.Job{Template: []byte(strings.Repeat("[", 99) + strings.Repeat("]", 99))}, strings.Repeat("[", 99) + strings.Repeat("]", 99)},
	} {
		got, err := child(t, render.Limits{}).Render(t.Context(), row.job)
		if err != nil || strings.TrimSpace(string(got)) != row.want {
			t.Errorf("%s: %s, error %v", name, got, err)
		}
	}
}

func context_(name, value string) map[string]json.RawMessage {
	return map[string]json.RawMessage{name: json.RawMessage(value)}
}

// nested puts one template in the next, n times; %s is the place for the inner.
func nested(n int, outer, inner string) string {
	for range n {
		inner = strings.Replace(outer, "%s", inner, 1)
	}
	return inner
}

// TestHostile has templates that ask for more than there is. Each must be
// refused for the right reason, soon, and leave this process as it is.
func TestHostile(t *testing.T) {
	t.Parallel()
	limits := render.Limits{Memory: 64 << 20, Time: 5 * time.Minute, Output: 100_000, Depth: 200}
	chain := func(n int, first, next string) string {
		return fmt.Sprintf(`{"$let":{"a":%s},"in":%s}`, first, nested(n, fmt.Sprintf(`{"$let":{"a":%s},"in":%%s}`, next), `{"b":{"$eval":"a"}}`))
	}
	memory, tooLong := "of memory", "takes too long"
	for name, row := range map[string]struct{ template, reason string }{
		"text doubled":               {chain(60, `"xxxxxxxxxxxxxxxx"`, `"${a}${a}"`), memory},
		"text doubled a little":      {chain(17, `"xxxxxxxxxxxxxxxx"`, `"${a}${a}"`), "has more than 100000 bytes"},
		"list doubled":               {chain(60, `["x"]`, `{"$flatten":[{"$eval":"a"},{"$eval":"a"}]}`), memory},
		"shared list":                {chain(60, `["x"]`, `{"$eval":"[a, a]"}`), tooLong},
		"shared list, a little":      {chain(18, `["x"]`, `{"$eval":"[a, a]"}`), "has more than 200000 values"},
		"long range":                 {`{"$eval":"range(0, 1000000000000)"}`, memory},
		"endless range":              {`{"$eval":"range(9007199254740992, 9007199254740994)"}`, memory},
		"loops in loops":             {nested(8, `{"$map":{"$eval":"range(0,200)"},"each(x)":%s}`, `{"$if":"false","then":1}`), tooLong},
		"reduced":                    {`{"$reduce":{"$eval":"range(0,64)"},"initial":"xxxxxxxx","each(a,x)":"${a}${a}"}`, memory},
		"joined":                     {`{"$let":{"s":{"$reduce":{"$eval":"range(0,18)"},"initial":"xxxxxxxx","each(a,x)":"${a}${a}"}},"in":{"$let":{"l":{"$map":{"$eval":"range(0,5000)"},"each(x)":{"$eval":"s"}}},"in":{"$eval":"join(l,'')"}}}`, "memory"},
		"long error":                 {nested(60, `{"$match":{"true":%s}}`, `"${missing}"`), "undefined variable missing"},
		"deep":                       {nested(201, `[%s]`, "1"), "is nested deeper than 200 levels"},
		"very deep":                  {strings.Repeat("[", 500_000), "exceeded max depth"},
		"deep in YAML":               {strings.Repeat("- ", 20_000) + "x", "max depth"},
		"deep expression":            {`{"$eval":"` + strings.Repeat("(", 300_000) + `"}`, "memory"},
		"deep negation":              {`{"$eval":"` + strings.Repeat("!", 300_000) + `1"}`, "memory"},
		"deep result":                {`{"$reduce":{"$eval":"range(0,1000)"},"initial":[],"each(a,x)":[{"$eval":"a"}]}`, "is nested deeper than 200 levels"},
		"aliases":                    {aliases(9), "excessive aliasing"},
		"too long":                   {`"` + strings.Repeat("x", 1<<20) + `"`, "at most 1048576 are read"},
		"long result":                {`{"$map":{"$eval":"range(0,15000)"},"each(x)":"xxxxxxxxxxxxxxxx"}`, "has more than 100000 bytes"},
		"long result of short texts": {`{"$map":{"$eval":"range(0,15000)"},"each(x)":"<<<<<"}`, "bytes, at most 100000 are accepted"},
		"function":                   {`{"$eval":"min"}`, "uncalled functions"},
		"type of time":               {`{"$eval":"-'x'"}`, "Expected number"},
		"no template":                {``, "it is empty"},
		"invalid UTF-8":              {"\xff\xfe\xfd", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits, started := limits, time.Now()
			if row.reason == tooLong {
				limits.Time = time.Second
			}
			got, err := child(t, limits).Render(t.Context(), render.Job{Template: []byte(row.template)})
			if !errors.Is(err, render.ErrTemplate) || !strings.Contains(err.Error(), row.reason) {
				t.Errorf("got %.100s, error %v", got, err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if took := time.Since(started); took > limits.Time+20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// aliases is a list of ten of a list of ten of …
func aliases(levels int) string {
	var text strings.Builder
	text.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range levels {
		fmt.Fprintf(&text, "a%d: &a%[1]d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	return text.String()
}

func TestContextsTexts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, reason string }{
		"aliases":  {aliases(2), "has more than 500 values"},
		"too long": {`"` + strings.Repeat("x", 1<<20) + `"`, "its value p has 1048578 bytes"},
		"key":      {"[1]: 2", "invalid map key"},
		"bad key":  {"2031-01-01: 2\n1: 2", "which is no text"},
		"same key": {"1: 2\n'1': 3", "already defined"},
		"like key": {"1.0: 2\n'1': 3", "key 1 twice"},
	} {
		_, err := child(t, render.Limits{Nodes: 500}).Render(t.Context(), render.Job{Template: []byte("1"), Texts: map[string][]byte{"p": []byte(row.text)}})
		if !errors.Is(err, render.ErrTemplate) || !strings.Contains(err.Error(), row.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOurFault has errors that are not the template's.
func TestOurFault(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancelCause(t.Context())
	why := errors.New("the verification was given up")
	stop(why)
	for name, row := range map[string]struct {
		ctx    context.Context
		child  render.Child
		job    render.Job
		reason string
	}{
		"no command":        {t.Context(), render.Child{}, render.Job{}, "no command to start"},
		"no program":        {t.Context(), render.Child{Argv: []string{"/does/not/exist"}}, render.Job{}, "cannot start the process"},
		"another program":   {t.Context(), render.Child{Argv: []string{self, "-test.run=^$", "-test.list=^$"}}, render.Job{}, "cannot read the answer"},
		"failure":           {t.Context(), render.Child{Argv: []string{self, failArgument}}, render.Job{}, "ended with exit status 3"},
		"context not JSON":  {t.Context(), child(t, render.Limits{}), render.Job{Template: []byte("1"), Context: context_("a", "{")}, "cannot write the job"},
		"context has limit": {t.Context(), child(t, render.Limits{}), render.Job{Template: []byte("1"), Context: context_("a", strings.Repeat("[", 9000)+strings.Repeat("]", 9000))}, ""},
		"canceled":          {stopped, child(t, render.Limits{}), render.Job{Template: []byte("1")}, why.Error()},
	} {
		_, err := row.child.Render(row.ctx, row.job)
		if row.reason == "" && err == nil {
			continue
		}
		if err == nil || errors.Is(err, render.ErrTemplate) || !strings.Contains(err.Error(), row.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCanceledWhileRendering shows that a child does not outlive its caller's
// patience.
func TestCanceledWhileRendering(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, why)
	defer cancel()
	started := time.Now()
	loop := nested(8, `{"$map":{"$eval":"range(0,200)"},"each(x)":%s}`, `{"$if":"false","then":1}`)
	_, err := child(t, render.Limits{Time: 5 * time.Minute}).Render(ctx, render.Job{Template: []byte(loop)})
	if !errors.Is(err, why) || time.Since(started) > 20*time.Second {
		t.Error(err, time.Since(started))
	}
}

// TestServe shows what a child does with what is no job, and nobody to answer.
func TestServe(t *testing.T) {
	t.Parallel()
	if err := render.Serve(strings.NewReader("{"), nil, nil); err == nil || !strings.Contains(err.Error(), "cannot read what to render") {
		t.Error(err)
	}
}
