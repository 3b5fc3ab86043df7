package paths

import (
	"strings"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"pgregory.net/rapid"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, dir string
		depth        int
		match, other []string
	}{
		{"*.log", ".", 0, []string{"a.log", ".log", ".hidden.log"}, []string{"a/b.log", "a.txt"}},
		{"./out//*.log", "out", 0, []string{"a.log"}, []string{"a/b.log"}},
		{"/var/log/*", "/var/log", 0, []string{"a"}, []string{"a/b"}},
		{"out/**/*.log", "out", -1, []string{"a.log", "a/b/c.log"}, []string{"a.txt", "log"}},
		{"out/**", "out", -1, []string{"a", "a/b/c"}, nil},
		{"*/x/?.[a-c]", ".", 2, []string{"d/x/1.a"}, []string{"d/x/11.a", "d/x/1.d", "x/1.a", "d/e/x/1.a"}},
		{"out/{a,b/{c,d*}}.txt", "out", 1, []string{"a.txt", "b/c.txt", "b/dd.txt"}, []string{"c.txt", "b.txt", "b/a.txt", "d/c.txt"}},
		{"{,a}b", ".", 0, []string{"b", "ab"}, []string{"a"}},
		{"[{,}]", ".", 0, []string{"{", ",", "}"}, []string{"a"}},
		{"{[}],b}", ".", 0, []string{"}", "b"}, []string{"["}},
		{"[!a]", ".", 0, []string{"b"}, []string{"a", "bb"}},
		{"plain.txt", ".", 0, []string{"plain.txt"}, []string{"plainxtxt"}},
		{"*//x/./y", ".", 2, []string{"a/x/y"}, []string{"x/y"}},
	}
	for _, test := range tests {
		p, err := ParsePattern(test.pattern)
		if err != nil || p.Dir != test.dir || p.Depth() != test.depth {
			t.Errorf("%s: directory %q, depth %d: %v", test.pattern, p.Dir, p.Depth(), err)
		}
		for _, name := range test.match {
			if !p.Match(name) {
				t.Errorf("%s does not match %s", test.pattern, name)
			}
		}
		for _, name := range test.other {
			if p.Match(name) {
				t.Errorf("%s matches %s", test.pattern, name)
			}
		}
	}
	if _, fault := ParsePattern("a["); fault == nil || fault.What != `has a [, { or \ that does not end` {
		t.Errorf("got %v", fault)
	}
}

// TestA8HostilePatterns take no time that grows with more than their length.
func TestA8HostilePatterns(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	for _, pattern := range []string{
		strings.Repeat("{a,b}", 800), strings.Repeat("{*,*}", 12) + "z", strings.Repeat("{a}", 1300),
		strings.Repeat("{a,", 1000) + strings.Repeat("}", 1000), strings.Repeat("*a", 1000) + "z", strings.Repeat("**/", 300) + "z",
		strings.Repeat("{", 4000), strings.Repeat("*", 100_000), strings.Repeat("{*,a}", 6) + "z", strings.Repeat("*/**/", 300) + "z",
	} {
		p, err := ParsePattern(pattern)
		if err == nil && p.Match(strings.Repeat("a", 4000)) {
			t.Errorf("%.20s matches", pattern)
		}
		if err == nil && p.Match(strings.Repeat("a/", 2000)+"a") {
			t.Errorf("%.20s matches", pattern)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestPatternsMatchTheirOwnText: a text without special characters means itself.
func TestPatternsMatchTheirOwnText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z.+% -]{0,9}[a-z]`).Draw(t, "name")
		p, err := ParsePattern("{" + name + ",*/" + name + "}")
		if err != nil || !p.Match(name) || !p.Match("x/"+name) || p.Match("x/x/"+name) || p.Match(name+"x") {
			t.Errorf("%v", err)
		}
	})
}

// FuzzPattern: what braces stand for are patterns again, few and without
// braces, and nothing matches that is deeper than is looked.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"out/**/*.{log,xml}", "a/b.log"}, {`{a,[}]}`, "}"}, {`{\,,b}`, ","}, {"{,a{b,c}}", "ac"}, {"[!a-c]*/?", "d/e"}, {`\{a`, "{a"}, {"{a", "a"}, {"**/{,**/}x", "x"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 60 || len(name) > 60 {
			return
		}
		p, err := ParsePattern(pattern)
		if err != nil {
			return
		}
		if len(p.rest) == 0 || len(p.rest) > maxAlternatives || p.Dir == "" || strings.ContainsAny(p.Dir, "*?[{") {
			t.Errorf("%q is %q and %q", pattern, p.Dir, p.rest)
		}
		for _, one := range p.rest {
			begin, _, _ := braces(one)
			if begin >= 0 || !doublestar.ValidatePattern(one) {
				t.Errorf("%q stands for %q", pattern, one)
			}
		}
		if depth := p.Depth(); p.Match(name) && depth >= 0 && strings.Count(name, "/") > depth {
			t.Errorf("%q matches %q, which is deeper than %d", pattern, name, depth)
		}
	})
}
