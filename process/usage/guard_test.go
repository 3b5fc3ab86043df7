package usage

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const mib = 1 << 20

// TestLook is what is said about samples, one after the other.
func TestLook(t *testing.T) {
	t.Parallel()
	sh, python, cc := Process{10, "sh", 1 * mib}, Process{12, "python3", 60 * mib}, Process{13, "cc", 2 * mib}
	limits := Limits{Memory: 64 * mib, Processes: 3}
	tests := []struct {
		name    string
		counted bool
		samples []Sample
		want    string // of the last one; the others are within limits
	}{
		{"nothing yet", true, []Sample{{}}, ""},
		{"just within", false, []Sample{{Memory: 64 * mib, Processes: 3, Threads: 3}}, ""},
		{
			"too much memory, watched", false,
			[]Sample{{Memory: 60 * mib}, {Memory: 70 * mib, Each: []Process{sh, python, cc}}},
			"out of memory: limit 64.00 MiB, peak 70.00 MiB, killed python3 (pid 12)",
		},
		{"too much memory, which the system has to see", true, []Sample{{Memory: 70 * mib}}, ""},
		{
			"killed by the system", true,
			[]Sample{{Memory: 63 * mib, Each: []Process{sh, python, cc}}, {Each: []Process{sh}, PeakMemory: 64 * mib, OutOfMemory: 7, OOMKills: 1}},
			"out of memory: limit 64.00 MiB, peak 64.00 MiB, killed python3 (pid 12)",
		},
		{
			"killed before it was seen", true,
			[]Sample{{PeakMemory: 64 * mib, OutOfMemory: 7, OOMKills: 2}},
			"out of memory: limit 64.00 MiB, peak 64.00 MiB, killed make (pid 9)",
		},
		{
			"killed in a system that counts nothing else", true,
			[]Sample{{PeakMemory: 64 * mib, OOMKills: 1}},
			"out of memory: limit 64.00 MiB, peak 64.00 MiB, killed make (pid 9)",
		},
		{
			"killed at a peak that nobody noted", true,
			[]Sample{{Memory: 20 * mib, OutOfMemory: 7, OOMKills: 1}},
			"out of memory: limit 64.00 MiB, peak 20.00 MiB, killed make (pid 9)",
		},
		{
			"killed for others", true,
			[]Sample{{Memory: 20 * mib, OOMKills: 1}},
			"out of memory: the machine had none left, peak 20.00 MiB, killed make (pid 9)",
		},
		{"limit hit, but nobody killed", true, []Sample{{Memory: 64 * mib, OutOfMemory: 100}}, ""},
		{"too many processes, watched", false, []Sample{{Processes: 4}}, "process limit reached: limit 3, peak 4, killed make (pid 9)"},
		{"too many threads, watched", false, []Sample{{Processes: 1, Threads: 5}}, "process limit reached: limit 3, peak 5, killed make (pid 9)"},
		{"a fork refused", true, []Sample{{Processes: 2, ForksRefused: 1}}, "process limit reached: limit 3, peak 3, killed make (pid 9)"},
	}
	for _, test := range tests {
		g := Guard{Limits: limits, First: Process{9, "make", 0}, CountsMemory: test.counted, CountsProcesses: test.counted}
		got := ""
		for i, s := range test.samples {
			hit := g.Look(s)
			if hit != nil {
				got = hit.Error()
			}
			if hit != nil && i < len(test.samples)-1 {
				t.Errorf("%s: %v too early", test.name, hit)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestVictim asks the system whom it killed, which may not know.
func TestVictim(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"cc (pid 77)": "cc (pid 77)", "": "make (pid 9)"} {
		g := Guard{Limits: Limits{Memory: mib}, First: Process{9, "make", 0}, Victim: func() string { return said }}
		if hit := g.Look(Sample{OOMKills: 1}); hit == nil || !cmp.Equal(hit.Killed, []string{want}) {
			t.Errorf("%q: got %v", said, hit)
		}
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		sample := func() Sample { return Sample{Memory: int64(time.Since(began))} }
		aborted := make(chan error, 1)
		g := Guard{Limits: Limits{Memory: int64(250 * time.Millisecond)}}
		verdict := g.Start(sample, func(err error) { aborted <- err })
		err := <-aborted
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if hit := verdict(); hit == nil || error(hit) != err {
			t.Errorf("got %v, want %v", hit, err)
		}
		within := Guard{Limits: Limits{Memory: int64(time.Hour)}}
		if hit := within.Start(sample, nil)(); hit != nil {
			t.Errorf("got %v", hit)
		}
		none := Guard{Limits: Limits{CPUs: 1}}
		if hit := none.Start(nil, nil)(); hit != nil {
			t.Errorf("got %v", hit)
		}
	})
}

func TestExceeded(t *testing.T) {
	t.Parallel()
	hit := &Exceeded{What: ProcessesLimit, Limit: 1, Peak: 2, Killed: []string{"a (pid 1)", "b (pid 2)", "c (pid 3)"}}
	if got, want := hit.Error(), "process limit reached: limit 1, peak 2, killed a (pid 1) and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (&Exceeded{What: MemoryLimit, Limit: 3 << 30}).Error(), "out of memory: limit 3.00 GiB, peak 0.00 KiB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
