package task

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPhases(t *testing.T) {
	t.Parallel()
	var p Phases
	outer := p.Begin("commands", false)
	p.Begin("command 0", true)()
	outer()
	p.Begin("seal", false) // lasts
	if p[0].Elapsed <= 0 || p[0].Elapsed < p[1].Elapsed || p[2].Elapsed != 0 || !p[1].Part || p[1].Start.Before(p[0].Start) {
		t.Errorf("got %+v", p)
	}
	synctest.Test(t, func(t *testing.T) {
		var brief Phases
		if brief.Begin("in no time", false)(); brief[0].Elapsed <= 0 {
			t.Error("a phase without a measurable length lasts for ever")
		}
	})
	const ms = time.Millisecond
	for _, test := range []struct {
		want   string
		phases Phases
	}{
		{"", nil},
		{"claim 0s, setup 2ms", Phases{{Name: "claim", Elapsed: 1}, {Name: "setup", Elapsed: 2 * ms}, {Name: "seal"}}},
		{"prepare 1.23s (mounts 1.2s)", Phases{
			{Name: "prepare", Elapsed: 1234 * ms}, {Name: "liveLog", Part: true, Elapsed: ms / 2}, {Name: "mounts", Part: true, Elapsed: 1204 * ms},
		}},
		{"commands 30ms (command 0 10ms, command 1 20ms), uploads 5.12ms", Phases{
			{Name: "commands", Elapsed: 30 * ms},
			{Name: "command 0", Part: true, Elapsed: 10 * ms},
			{Name: "command 1", Part: true, Elapsed: 20 * ms},
			{Name: "uploads", Elapsed: 5123 * time.Microsecond},
		}},
	} {
		if got := test.phases.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
